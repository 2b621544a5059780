//! `bp doctor`: what the installation has and what it lacks, in words.

use super::options::{OutputOptions, SlurmOptions};
use super::{Host, Reply, Value};
use crate::config::Config;
use crate::config::slurm::SlurmDefaults;
use crate::error::{Error, Kind, Result};
use crate::plan::bytes_text;
use crate::run::slurm::{self, Answer, Place};
use crate::run::{default_budget, find_program};
use crate::source::path::absolute;
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What `bp doctor` takes.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Check Slurm: its programs, what runs ask of it, and with a small job what a compute node sees
    #[arg(long)]
    slurm: bool,
    /// Paths that the compute node must see, beside the folder of the runs
    #[arg(value_name = "PATH", requires = "slurm", value_hint = clap::ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub options: SlurmOptions,
    #[command(flatten)]
    #[allow(missing_docs)]
    #[allow(missing_docs)]
    pub output: OutputOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Grade {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
struct Check {
    grade: Grade,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

fn ok(what: impl Into<String>) -> Check {
    Check { grade: Grade::Ok, what: what.into(), fix: None }
}

fn warn(what: impl Into<String>, fix: impl Into<String>) -> Check {
    Check { grade: Grade::Warn, what: what.into(), fix: Some(fix.into()) }
}

fn fail(what: impl Into<String>, fix: impl Into<String>) -> Check {
    Check { grade: Grade::Fail, what: what.into(), fix: Some(fix.into()) }
}

/// `bp doctor`: an error if anything is missing that no run can do without. As JSON, the checks say so
/// themselves.
pub fn doctor(args: &DoctorArgs, host: &mut dyn Host) -> Result<Reply> {
    if !args.slurm && args.options != SlurmOptions::default() {
        return Err(Error::argument("these options are for the check of Slurm")
            .fix("Use bp doctor --slurm with them."));
    }
    let mut checks = vec![
        ok(format!("bioimage-rs {} on {}", env!("CARGO_PKG_VERSION"), std::env::consts::OS)),
        config(),
        program(),
        kernel(),
        anywidget(),
        toolchain(),
    ];
    checks.extend(run_root());
    checks.push(memory());
    if args.slurm {
        checks.extend(slurm_checks(args, host)?);
    }
    let text = checks.iter().map(line).collect::<Vec<_>>().join("\n");
    let failed = checks.iter().filter(|check| check.grade == Grade::Fail).count();
    if failed > 0 && !args.output.json {
        host.text(&text);
        return Err(Error::new(Kind::WriteFailed, format!("{failed} check(s) failed"))
            .fix("The lines with an arrow say what to do."));
    }
    let json = json!({ "checks": checks, "failed": failed });
    Ok(Reply::Value(Value { text, html: None, json }))
}

fn line(check: &Check) -> String {
    let grade = match check.grade {
        Grade::Ok => "ok  ",
        Grade::Warn => "warn",
        Grade::Fail => "FAIL",
    };
    match &check.fix {
        Some(fix) => format!("{grade}  {}\n      -> {fix}", check.what),
        None => format!("{grade}  {}", check.what),
    }
}

fn config() -> Check {
    let path = Config::path();
    match Config::load() {
        Ok(_) if path.is_file() => ok(format!("config '{}'", path.display())),
        Ok(_) => ok(format!("no config; bp config key=value makes '{}'", path.display())),
        Err(error) => fail(error.message, error.fix.unwrap_or_default()),
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The kernel's program: the one beside this program, or the one on the path.
pub fn kernel_program() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name("bioimage-kernel"));
    beside.filter(|path| path.is_file()).or_else(|| on_path("bioimage-kernel"))
}

fn program() -> Check {
    match on_path("bp") {
        Some(path) => ok(format!("bp is '{}'", path.display())),
        None => warn(
            "bp is not on the PATH",
            "Add the folder of the installed bp to PATH; until then it works by its full path.",
        ),
    }
}

fn kernel() -> Check {
    match kernel_program() {
        Some(path) => ok(format!("the Rust kernel is '{}'", path.display())),
        None => warn(
            "bioimage-kernel is neither beside bp nor on the PATH",
            "Reinstall bioimage-rs if you want Rust notebooks.",
        ),
    }
}

/// Where Jupyter looks for extensions.
fn jupyter_folders() -> Vec<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let mut folders: Vec<PathBuf> =
        set("JUPYTER_PATH").iter().flat_map(std::env::split_paths).collect();
    folders.extend(set("JUPYTER_DATA_DIR").map(PathBuf::from));
    let data = set("XDG_DATA_HOME").map(PathBuf::from);
    let home = set("HOME").map(|home| Path::new(&home).join(".local/share"));
    folders.extend(data.or(home).map(|data| data.join("jupyter")));
    // The environment of the Jupyter server is, as a rule, that of the jupyter on the path.
    for program in ["jupyter-lab", "jupyter", "python"] {
        let real = on_path(program).and_then(|path| Some(path.parent()?.parent()?.to_owned()));
        folders.extend(real.map(|prefix| prefix.join("share/jupyter")));
    }
    for name in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
        folders.extend(set(name).map(|prefix| Path::new(&prefix).join("share/jupyter")));
    }
    folders.extend(["/usr/local/share/jupyter", "/usr/share/jupyter"].map(PathBuf::from));
    folders
}

fn anywidget() -> Check {
    let found = jupyter_folders()
        .into_iter()
        .map(|folder| folder.join("labextensions/anywidget"))
        .find(|folder| folder.is_dir());
    match found {
        Some(folder) => ok(format!("anywidget is in JupyterLab: '{}'", folder.display())),
        None => warn(
            "JupyterLab has no anywidget, so it shows 'Error displaying widget' in place of a run",
            "pip install anywidget in the environment that JupyterLab is started from, then reload \
             the page.",
        ),
    }
}

fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn toolchain() -> Check {
    const INSTALL: &str = "Install it from https://rustup.rs; %bp commands need none.";
    let Some(version) = output_of("rustc", &["--version"]) else {
        return warn("no Rust toolchain, so cells with Rust code do not run", INSTALL);
    };
    if output_of("cargo", &["--version"]).is_none() {
        return warn(format!("{version}, but no cargo"), INSTALL);
    }
    let source = output_of("rustc", &["--print", "sysroot"])
        .is_some_and(|root| Path::new(&root).join("lib/rustlib/src/rust/library").is_dir());
    if source {
        return ok(format!("{version}, with its source"));
    }
    warn(
        format!("{version}, without rust-src, so completion in Rust cells knows no std"),
        "rustup component add rust-src",
    )
}

/// Less free space than this is worth a word.
const LITTLE_SPACE: u64 = 1 << 30;

fn run_root() -> Vec<Check> {
    let root = Config::load().unwrap_or_default().run_root();
    let made = std::fs::create_dir_all(&root)
        .and_then(|()| tempfile::Builder::new().prefix(".check-").tempfile_in(&root).map(drop));
    if let Err(error) = made {
        return vec![fail(
            format!("runs cannot be recorded in '{}': {error}", root.display()),
            "Correct its owner or mode, or name another folder: bp config run_root=FOLDER.",
        )];
    }
    let mut checks = vec![ok(format!("runs are recorded in '{}'", root.display()))];
    if let Ok(stat) = rustix::fs::statvfs(&root) {
        let free = stat.f_bavail * stat.f_frsize;
        let what = format!("{} free there", bytes_text(free));
        checks.push(if free < LITTLE_SPACE {
            warn(what, "bp runs gc removes the records of old runs.")
        } else {
            ok(what)
        });
    }
    checks
}

/// An interrupt while a job waits is an error, and takes the job back.
fn slurm_checks(args: &DoctorArgs, host: &mut dyn Host) -> Result<Vec<Check>> {
    let failed = |error: Error| fail(error.message, error.fix.unwrap_or_default());
    let programs = ["sbatch", "squeue", "sacct", "scancel", "scontrol", "sinfo", "srun"];
    let missing: Vec<&str> =
        programs.into_iter().filter(|program| on_path(program).is_none()).collect();
    if !missing.is_empty() {
        return Ok(vec![fail(
            format!("not on the PATH: {}", missing.join(", ")),
            "Run on a login node of the cluster, or load its module of Slurm.",
        )]);
    }
    let Some(version) = output_of("sinfo", &["--version"]) else {
        return Ok(vec![fail("sinfo does not run", "Check the installation of Slurm.")]);
    };
    let mut checks = vec![ok(version)];
    checks.push(match output_of("sacct", &["-n", "-X", "-S", "now"]) {
        Some(_) => ok("accounting answers"),
        None => warn(
            "accounting does not answer (sacct)",
            "Runs work, but learn late how a lost task ended, and not what tasks used.",
        ),
    });
    let config = Config::load().unwrap_or_default();
    let stored = match SlurmDefaults::load() {
        Ok(stored) => stored.settings,
        Err(error) => {
            checks.push(failed(error));
            return Ok(checks);
        }
    };
    let settings = args.options.over(&stored);
    match slurm::validate(&settings) {
        Ok(()) => checks.push(ok("the cluster has what is asked of it")),
        Err(error) => {
            checks.push(failed(error));
            return Ok(checks);
        }
    }
    let program = match host.program().map_or_else(find_program, Ok) {
        Ok(program) => program,
        Err(error) => {
            checks.push(failed(error));
            return Ok(checks);
        }
    };
    let root = settings.tmp_root.clone().unwrap_or_else(|| config.run_root());
    let mut places = Vec::new();
    for path in std::iter::once(&root).chain(&args.paths) {
        let path = absolute(path);
        let place = if path.is_file() { Ok(Place::read(&path)) } else { Place::write(&path) };
        match place {
            Ok(place) => places.push(place),
            // What can only be read here need not be more there.
            Err(_) if path.exists() && path != root => places.push(Place::read(&path)),
            Err(error) => checks.push(failed(error)),
        }
    }
    if !args.output.json && !args.output.quiet {
        host.text("asking a compute node; an interrupt ends the waiting for one");
    }
    match slurm::probe(&settings, &program, &places, &host.cancel()) {
        Ok(answer) => checks.extend(node_checks(&answer, &program)),
        Err(error) if error.kind == Kind::Cancelled => return Err(error),
        Err(error) => checks.push(failed(error)),
    }
    Ok(checks)
}

fn node_checks(answer: &Answer, program: &Path) -> Vec<Check> {
    const SHARE: &str = "Use a folder that all nodes share; bp config run_root=FOLDER moves runs.";
    let node = &answer.node;
    let mut checks = vec![match &answer.program {
        None => ok(format!("node {node} runs '{}'", program.display())),
        Some(why) => fail(
            format!("node {node} cannot run '{}': {why}", program.display()),
            "Install bioimage-rs in a folder that all nodes share.",
        ),
    }];
    checks.extend(answer.places.iter().map(|seen| match seen.problem() {
        Some(problem) => fail(format!("node {node} {problem}"), SHARE),
        None => {
            let does = if seen.writable.is_some() { "reads and writes" } else { "reads" };
            ok(format!("node {node} {does} '{}'", seen.path.display()))
        }
    }));
    checks
}

fn memory() -> Check {
    ok(format!("a run may use {} of memory unless told otherwise", bytes_text(default_budget())))
}
