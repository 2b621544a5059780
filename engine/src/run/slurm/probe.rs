//! Asks a compute node which paths it sees and whether it can run the worker program.

use super::asked::Asked;
use super::client::{call, run};
use super::settings::SlurmSettings;
use crate::error::{Error, Kind, Result};
use crate::run::cancel::CancelToken;
use crate::run::folder::new_id;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A path that a node is asked about.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    /// A file in the folder that is to be written to. A node may have another folder of that name.
    marker: Option<tempfile::NamedTempFile>,
}

impl Place {
    /// A path that is to be read.
    pub fn read(path: &Path) -> Place {
        Place { path: path.to_owned(), marker: None }
    }

    /// A path that is to be written: it, or the nearest folder above it that exists, must be writable
    /// from here and from the node.
    ///
    /// # Errors
    /// `permission-denied`, `write-failed` and the like.
    pub fn write(path: &Path) -> Result<Place> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let folder = path.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
        let marker = tempfile::Builder::new().prefix(".bp-probe-").tempfile_in(folder);
        let marker = marker.map_err(|error| Error::write(folder, &error))?;
        Ok(Place { marker: Some(marker), path })
    }

    /// What the node looks at: the path itself, or the folder in which it is to be made.
    fn target(&self) -> &Path {
        let folder = self.marker.as_ref().and_then(|marker| marker.path().parent());
        folder.unwrap_or(&self.path)
    }
}

/// What a node says of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The path.
    pub path: PathBuf,
    /// Whether it is there, and the same as here.
    pub exists: bool,
    /// Whether it can be read.
    pub readable: bool,
    /// Whether it can be written; not tried where it is only to be read.
    pub writable: Option<bool>,
}

impl Seen {
    /// Why a run cannot use the path.
    pub fn problem(&self) -> Option<String> {
        let path = self.path.display();
        match self {
            Seen { exists: false, .. } => Some(format!("does not see '{path}'")),
            Seen { readable: false, .. } => Some(format!("cannot read '{path}'")),
            Seen { writable: Some(false), .. } => Some(format!("cannot write to '{path}'")),
            _ => None,
        }
    }
}

/// What a node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The node that Slurm chose.
    pub node: String,
    /// Why the worker program does not run there.
    pub program: Option<String>,
    /// The paths, in the order in which they were given.
    pub places: Vec<Seen>,
}

/// In `sh`, for every node has it. Each line of the answer is marked, since a preamble may print, too.
const QUESTIONS: &str = r#"say() { printf 'bp-probe|%s\n' "$1"; }
say "node|${SLURMD_NODENAME:-$(uname -n)}"
if why=$("$1" --version 2>&1 </dev/null); then say "runs|"; else
  say "fails|$(printf '%s' "$why" | head -n 1)"
fi
shift
while [ $# -ge 2 ]; do
  flags=
  [ -e "${2:-$1}" ] && flags=e
  [ -r "$1" ] && flags=${flags}r
  [ -n "$2" ] && (: > "$2.node") 2>/dev/null && rm -f "$2.node" && flags=${flags}w
  say "place|$flags"
  shift 2
done
say "end|"
"#;

/// How long `srun` gets to end after its job was cancelled.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Runs one small job where the settings send the tasks of a run, and waits for its answer, which
/// comes over the network and so needs no shared folder. A set `cancel` takes the job back.
///
/// # Errors
/// `scheduler-failed` with Slurm's own words; `cancelled`.
pub fn probe(
    settings: &SlurmSettings,
    program: &Path,
    places: &[Place],
    cancel: &CancelToken,
) -> Result<Answer> {
    let name = format!("bp-probe-{}", new_id());
    let mut command = command(settings, &name);
    command.args(shell(settings, program, places));
    let mut cancelled = None;
    let output = run("srun", &mut command, || {
        if cancel.is_cancelled() && cancelled.is_none() {
            cancelled = Some(Instant::now());
            take_back(&name);
        }
        cancelled.is_none_or(|since| since.elapsed() < LAST_WORDS)
    })?;
    if cancelled.is_some() {
        // A job that came into being only now.
        take_back(&name);
        return Err(Error::new(
            Kind::Cancelled,
            "interrupted; the job that asks a node is cancelled",
        ));
    }
    let (text, words) = output.map_or_else(Default::default, |output| {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (text(output.stdout), text(output.stderr))
    });
    parse(&text, places).ok_or_else(|| {
        Error::new(Kind::SchedulerFailed, format!("no node answered: {}", words.trim()))
            .fix("Check the settings with sbatch --wrap true, and the lines before the command.")
    })
}

fn take_back(name: &str) {
    if let Ok(user) = call("id", &["-un"]) {
        let _ = call("scancel", &["--user", user.trim(), "--name", name]);
    }
}

fn command(settings: &SlurmSettings, name: &str) -> Command {
    let asked = Asked::of(settings);
    let mut command = Command::new("srun");
    // In a job of Slurm, such as a notebook server, it would start a step of that job.
    for (variable, _) in std::env::vars_os() {
        let own = variable.to_string_lossy();
        if own.starts_with("SLURM_") && !matches!(&*own, "SLURM_CONF" | "SLURM_CLUSTERS") {
            command.env_remove(variable);
        }
    }
    command.args(["--quiet", "--nodes=1", "--ntasks=1", "--time=1", "--mem=200M", "--mpi=none"]);
    command.arg("--chdir=/").arg(format!("--job-name={name}"));
    let optional = [
        ("partition", asked.partition),
        ("account", asked.account),
        ("qos", asked.qos),
        ("constraint", asked.constraint),
        ("reservation", asked.reservation),
        // Some partitions take no job without.
        ("gpus", (asked.gpus > 0).then(|| "1".to_owned())),
    ];
    for (option, value) in optional {
        command.args(value.map(|value| format!("--{option}={value}")));
    }
    command
}

/// The shell that runs tasks, with the same lines before the command.
fn shell(settings: &SlurmSettings, program: &Path, places: &[Place]) -> Vec<String> {
    let preamble = settings.shebang.as_deref().unwrap_or_default();
    let (first, preamble) = match preamble.strip_prefix("#!") {
        Some(rest) => rest.split_once('\n').unwrap_or((rest, "")),
        None => ("/bin/bash", preamble),
    };
    let mut words = vec!["/bin/sh".to_owned(), "-c".into(), QUESTIONS.into(), "bp-probe".into()];
    words.push(program.display().to_string());
    for place in places {
        words.push(place.target().display().to_string());
        let marker = place.marker.as_ref();
        words.push(marker.map_or(String::new(), |marker| marker.path().display().to_string()));
    }
    let script = format!("{preamble}\nexec {}", shell_words::join(words));
    first.split_whitespace().map(str::to_owned).chain(["-c".to_owned(), script]).collect()
}

fn parse(text: &str, places: &[Place]) -> Option<Answer> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("bp-probe|")?.split_once('|'));
    let ("node", node) = lines.next()? else { return None };
    let program = match lines.next()? {
        ("runs", _) => None,
        ("fails", why) => Some(why.to_owned()),
        _ => return None,
    };
    let mut answers = Vec::new();
    for place in places {
        let ("place", flags) = lines.next()? else { return None };
        answers.push(Seen {
            path: place.path.clone(),
            exists: flags.contains('e'),
            readable: flags.contains('r'),
            writable: place.marker.is_some().then(|| flags.contains('w')),
        });
    }
    (lines.next()?.0 == "end").then(|| Answer { node: node.to_owned(), program, places: answers })
}

/// What every node must have that works on a run.
#[derive(Debug)]
pub struct Needs {
    /// The worker's command line.
    pub command: Vec<OsString>,
    /// The run's folder, or the one in which it is made.
    pub folder: PathBuf,
    /// What is read.
    pub reads: Vec<PathBuf>,
    /// What is written.
    pub writes: Vec<PathBuf>,
}

/// Refuses a run whose program or paths a compute node does not have; `settings` are none for a run
/// that is not for Slurm.
///
/// # Errors
/// `invalid-argument` with everything that is missing, or for a run elsewhere; `permission-denied`
/// where this process cannot write, either; those of [`probe`].
pub fn check_nodes(
    settings: Option<&SlurmSettings>,
    needs: &Needs,
    cancel: &CancelToken,
) -> Result<()> {
    let Some(settings) = settings else {
        return Err(Error::argument("compute nodes can be checked for runs on Slurm only")
            .about("check_nodes")
            .fix("Use --backend slurm, or leave --check-nodes out."));
    };
    let mut places = vec![Place::write(&needs.folder)?];
    places.extend(needs.reads.iter().map(|path| Place::read(path)));
    for path in &needs.writes {
        places.push(Place::write(path)?);
    }
    let program = needs.command.first().map(Path::new).unwrap_or(Path::new(""));
    let Answer { node, program: why, places } = probe(settings, program, &places, cancel)?;
    let why = why.map(|why| format!("cannot run '{}' ({why})", program.display()));
    let problems: Vec<String> =
        why.into_iter().chain(places.iter().filter_map(Seen::problem)).collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(Error::argument(format!("node {node} {}", problems.join(", ")))
        .fix("Use folders that all nodes share, for runs too: bp config run_root=FOLDER."))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As on a node that is this machine.
    fn answer(program: &str, places: &[Place], preamble: &str) -> Option<Answer> {
        let settings =
            SlurmSettings { shebang: Some(preamble.to_owned()), ..SlurmSettings::default() };
        let words = shell(&settings, Path::new(program), places);
        let output = Command::new(&words[0])
            .args(&words[1..])
            .env("SLURMD_NODENAME", "n7")
            .output()
            .unwrap();
        parse(&String::from_utf8(output.stdout).unwrap(), places)
    }

    #[test]
    fn a_node_tells_of_each_path_what_it_can_do_there() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("it's here.tif");
        std::fs::write(&input, "").unwrap();
        let gone = Place::write(folder.path()).unwrap();
        std::fs::remove_file(gone.marker.as_ref().unwrap().path()).unwrap();
        let output = folder.path().join("new/out.zarr");
        let places = [
            Place::read(&input),
            Place::read(&folder.path().join("missing")),
            Place::write(&output).unwrap(),
            gone,
        ];
        let answer = answer("/bin/bash", &places, "#!/bin/bash -e\necho hello").unwrap();
        assert_eq!((answer.node.as_str(), &answer.program), ("n7", &None));
        let seen = |index: usize| {
            let Seen { exists, readable, writable, .. } = answer.places[index];
            (exists, readable, writable)
        };
        assert_eq!(seen(0), (true, true, None));
        assert_eq!(seen(1), (false, false, None));
        assert_eq!(seen(2), (true, true, Some(true)));
        assert_eq!(answer.places[2].path, output);
        assert!(!seen(3).0, "a folder of that name without our file is another");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "the node leaves nothing");
    }

    #[test]
    fn a_program_that_does_not_run_says_why() {
        let why = answer("/no/such/bp", &[], "").unwrap().program.unwrap();
        assert!(why.contains("/no/such/bp"), "{why}");
    }

    #[test]
    fn half_an_answer_is_none() {
        assert_eq!(answer("/bin/bash", &[], "exit 3"), None);
        assert_eq!(parse("bp-probe|node|n1\nbp-probe|runs|\n", &[]), None);
    }
}
