//! The verbs that deal with runs on record.

use super::code::code_with_paths;
use super::follow::{Show, ended, follow, left_alone};
use super::options::{OutputOptions, SlurmOptions, push};
use super::panel::RunsTable;
use super::table::{Table, duration_text};
use super::{Host, Reply, RunView, Value, detach};
use crate::config::{Config, parse_bytes};
use crate::error::{Error, Kind, Result};
use crate::plan::bytes_text;
use crate::run::folder::{ArrayRecord, Code, PathMap, RunFolder};
use crate::run::live::LiveView;
use crate::run::monitor::Monitor;
use crate::run::registry::{self, RunSummary};
use crate::run::slurm::{self, Efficiency, Usage};
use crate::run::{Backend, Outcome, Resume, Run, RunState, is_on_cluster, state_of, tail};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// What `bp runs` takes.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct RunsArgs {
    #[command(subcommand)]
    action: Option<RunsAction>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputOptions,
}

#[derive(Debug, clap::Subcommand)]
enum RunsAction {
    /// Remove the folders of succeeded runs that ended some time ago; outputs stay
    Gc {
        /// How long ago at least: 12h, 30d
        #[arg(long, value_name = "AGE", value_parser = parse_age, default_value = "30d")]
        older_than: Duration,
    },
    /// Remove the folders of these runs, however they ended; outputs stay
    Remove {
        /// The runs
        #[arg(value_name = "RUN", required = true)]
        run: Vec<String>,
    },
}

/// What a verb about one run takes.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Id of the run, a beginning of it, its folder, or last
    #[arg(value_name = "RUN")]
    run: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputOptions,
}

/// What `bp logs` takes.
#[derive(Debug, clap::Args)]
pub struct LogsArgs {
    /// Id of the run, a beginning of it, its folder, or last
    #[arg(value_name = "RUN")]
    run: String,
    /// All attempts at this block, with what its worker printed
    #[arg(long, value_name = "N")]
    block: Option<u64>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputOptions,
}

/// What `bp resume` and `bp retry` take.
#[derive(Debug, clap::Args)]
pub struct ResumeArgs {
    /// Id of the run, a beginning of it, its folder, or last
    #[arg(value_name = "RUN")]
    run: String,
    /// Blocks worked on at the same time [default: as before]
    #[arg(long, value_name = "N")]
    workers: Option<u64>,
    /// Where blocks are worked on [default: as before]
    #[arg(long)]
    backend: Option<Backend>,
    /// Memory that the run may use, such as 8G [default: as before]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    memory: Option<u64>,
    /// Go on although the input or the program changed; recorded in the run
    #[arg(long)]
    force: bool,
    /// Also decode what is said to be done
    #[arg(long)]
    verify: bool,
    /// A folder of the request that has another name now; may be given several times
    #[arg(long, value_name = "/OLD=/NEW")]
    map: Vec<PathMap>,
    /// Return at once; the run goes on by itself
    #[arg(long)]
    detach: bool,
    /// Ask a compute node first whether it sees all paths of the run (on Slurm)
    #[arg(long)]
    check_nodes: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub slurm: SlurmOptions,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputOptions,
}

/// What `bp script` takes.
#[derive(Debug, clap::Args)]
pub struct ScriptArgs {
    /// Id of the run, a beginning of it, its folder, or last
    #[arg(value_name = "RUN")]
    run: String,
    /// Language of the code
    #[arg(long, value_enum, default_value = "bp")]
    language: Language,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputOptions,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Language {
    Bp,
    Python,
    Rust,
}

fn find(name: &str) -> Result<RunFolder> {
    registry::find(&Config::load()?.run_root(), name)
}

/// `bp runs`.
pub fn runs(args: &RunsArgs, host: &dyn Host) -> Result<Reply> {
    let root = Config::load()?.run_root();
    let removed = match &args.action {
        None if host.shows_panels() && !args.output.json => {
            return Ok(Reply::Panel(Box::new(RunsTable::new()?)));
        }
        None => return Ok(Reply::Value(list(&registry::list(&root)))),
        Some(RunsAction::Gc { older_than }) => registry::collect_garbage(&root, *older_than)?,
        Some(RunsAction::Remove { run }) => remove(&root, run)?,
    };
    let mut text = format!("{} run(s) removed", removed.len());
    removed.iter().for_each(|name| text += &format!("\n{name}"));
    Ok(Reply::Value(Value { text, html: None, json: json!({ "removed": removed }) }))
}

/// Removes the folders of runs and gives their names.
pub fn remove(root: &Path, runs: &[impl AsRef<str>]) -> Result<Vec<String>> {
    // All are looked up before the first is removed.
    let folders = runs.iter().map(|name| registry::find(root, name.as_ref()));
    let folders = folders.collect::<Result<Vec<_>>>()?;
    for folder in &folders {
        registry::remove(root, folder)?;
    }
    Ok(folders.iter().map(RunFolder::name).collect())
}

/// The list of runs.
pub fn list(runs: &[RunSummary]) -> Value {
    let row = |run: &RunSummary| {
        let counts = &run.counts;
        vec![
            run.id.clone(),
            run.operation.clone(),
            run.state.as_str().to_owned(),
            format!("{}/{}", counts.done + counts.skipped, counts.total),
            counts.failed.to_string(),
            run.created.clone(),
            run.host.clone(),
            run.backend.clone(),
            run.outputs.join(" "),
        ]
    };
    let table = Table {
        header: &[
            "run",
            "operation",
            "state",
            "blocks",
            "failed",
            "created",
            "host",
            "backend",
            "output",
        ],
        rows: runs.iter().map(row).collect(),
    };
    let text = if runs.is_empty() { "no run is on record yet".to_owned() } else { table.text() };
    Value { text, html: Some(table.html()), json: json!({ "runs": runs }) }
}

/// `bp status`.
pub fn status(args: &RunArgs) -> Result<Reply> {
    let folder = find(&args.run)?;
    let mut live = LiveView::open(RunView::attached(folder.clone()), None)?;
    let tick = live.poll()?;
    let mut json = tick.status.unwrap_or_default();
    let request = folder.request()?;
    json["id"] = json!(request.id);
    json["operation"] = json!(request.operation.name);
    json["folder"] = json!(folder.path());
    let mut text = live.text();
    let number = |key: &str| json.get(key).and_then(serde_json::Value::as_f64);
    if let Some(seconds) = number("elapsed_s") {
        text += &format!("\nelapsed {}", duration_text(seconds));
    }
    if let Some(seconds) = number("remaining_s") {
        text += &format!(", about {} left", duration_text(seconds));
    }
    if let Some(rate) = number("voxels_per_s") {
        text += &format!(", {:.1} million voxels/s", rate / 1e6);
    }
    let failures = json.get("failures").and_then(serde_json::Value::as_array);
    for failure in failures.into_iter().flatten() {
        let part = |key| {
            failure.get(key).map_or(String::new(), |value| match value.as_str() {
                Some(text) => text.to_owned(),
                None => value.to_string(),
            })
        };
        text += &format!(
            "\nblock {} [{}] {}: {}",
            part("block"),
            part("region"),
            part("kind"),
            part("message")
        );
    }
    // A machine without Slurm can show the rest.
    if let Ok(Some(efficiency)) = Efficiency::measure(&folder) {
        text += &format!("\n{}", efficiency_text(&efficiency));
        json["efficiency"] = json!(efficiency);
    }
    Ok(Reply::Value(Value { text, html: Some(live.html()), json }))
}

fn efficiency_text(efficiency: &Efficiency) -> String {
    let Efficiency { tasks, memory, cpus, time, suggested, .. } = efficiency;
    let bytes = |bytes: f64| bytes_text(bytes as u64);
    let of = |usage: &Usage, text: &dyn Fn(f64) -> String| {
        let (median, max) = (text(usage.used.median), text(usage.used.max));
        let asked = usage.requested.max;
        let asked = if asked > 0.0 { format!(" of {}", text(asked)) } else { String::new() };
        format!("{median} (median), {max} (most){asked}")
    };
    let mut text = format!("used in Slurm by {tasks} task(s):");
    if memory.used.max > 0.0 {
        text += &format!("\n  memory {}", of(memory, &bytes));
    }
    text += &format!("\n  cpus   {}", of(cpus, &|cpus| format!("{cpus:.1}")));
    text += &format!("\n  time   {}", of(time, &duration_text));
    let mem = suggested.mem.as_ref().map_or(String::new(), |mem| format!("--mem {mem} "));
    text + &format!("\n  next time: {mem}--time {} --cpus {}", suggested.time, suggested.cpus)
}

/// How often a watched run is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// `bp watch`.
pub fn watch(args: &RunArgs, show: Show, host: &mut dyn Host) -> Result<Reply> {
    let view = RunView::attached(find(&args.run)?);
    if let Some(run) = Run::adopt(&view.folder)? {
        return follow(run, show, host);
    }
    let token = host.cancel();
    if !show.quiet {
        host.run_started(&view);
    }
    let mut state = state_of(&view.folder)?;
    while !state.is_final() && !token.is_cancelled() {
        token.sleep(LOOK);
        state = state_of(&view.folder)?;
        // Whoever led it may have gone meanwhile.
        if let Some(run) = Run::adopt(&view.folder)? {
            if !show.quiet {
                host.run_ended(&view, None);
            }
            return follow(run, show, host);
        }
    }
    let outcome =
        if state.is_final() { view.folder.read::<Outcome>("outcome.json").ok() } else { None };
    if !show.quiet {
        host.run_ended(&view, outcome.as_ref());
    }
    let id = view.folder.request()?.id;
    match (state, outcome) {
        (RunState::Interrupted, _) => Err(Error::new(
            Kind::WorkerLost,
            format!("the process that led run {id} is gone; what is done is kept"),
        )
        .fix(format!("bp resume {id} finishes the rest."))),
        (_, Some(outcome)) => ended(view, outcome, show),
        _ => Err(left_alone(&id, is_on_cluster(&view.folder)?)),
    }
}

/// `bp logs`.
pub fn logs(args: &LogsArgs) -> Result<Reply> {
    let folder = find(&args.run)?;
    match args.block {
        Some(block) => block_log(&folder, block),
        None => all_logs(&folder),
    }
}

/// So much of the end of each log is shown.
const LOG_BYTES: usize = 8000;

fn all_logs(folder: &RunFolder) -> Result<Reply> {
    let place = folder.file("logs");
    let entries = place.read_dir().map_err(|error| Error::read(&place, &error))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let mut text = String::new();
    let mut json = serde_json::Map::new();
    for path in paths {
        let content = tail(&path, LOG_BYTES);
        if content.is_empty() {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        text += &format!("==> {name} <==\n{content}\n");
        json.insert(name, content.into());
    }
    if text.is_empty() {
        text = format!(
            "the workers of run {} printed nothing, and no block failed",
            folder.request()?.id
        );
    }
    Ok(Reply::Value(Value { text: text.trim_end().to_owned(), html: None, json: json.into() }))
}

fn block_log(folder: &RunFolder, block: u64) -> Result<Reply> {
    let region = folder.plan()?.block(block)?.inner;
    let tries = Monitor::open(folder)?.tries(block)?;
    let mut text = format!("block {block} [{region}]");
    for attempt in &tries {
        text += &format!("\nattempt {}, task {}: {}", attempt.attempt, attempt.task, attempt.state);
        if let Some(seconds) = attempt.duration_s {
            text += &format!(" after {}", duration_text(seconds));
        }
        if let Some(error) = &attempt.error {
            text += &format!(", {}: {}", error.kind, error.message);
            error.traceback.iter().for_each(|traceback| text += &format!("\n{traceback}"));
        }
    }
    if tries.is_empty() {
        text += "\nnot begun";
    }
    let last = tries
        .last()
        .map(|attempt| tail(&folder.log(&attempt.task, attempt.attempt, "err"), LOG_BYTES));
    let log = last.unwrap_or_default();
    if !log.is_empty() {
        text += &format!("\n==> the worker's last words <==\n{log}");
    }
    let json =
        json!({ "block": block, "region": region.to_string(), "attempts": tries, "log": log });
    Ok(Reply::Value(Value { text, html: None, json }))
}

/// How long `bp cancel` waits to tell that the run has stopped.
const PATIENCE: Duration = Duration::from_secs(5);
/// Slurm gives tasks half a minute, mostly, before it kills them.
const CLUSTER_PATIENCE: Duration = Duration::from_secs(70);

/// `bp cancel`.
pub fn cancel(args: &RunArgs, host: &dyn Host) -> Result<Reply> {
    let folder = find(&args.run)?;
    let id = folder.request()?.id;
    let before = state_of(&folder)?;
    let mut state = before;
    let on_cluster = is_on_cluster(&folder)?;
    if before.is_final() && on_cluster {
        // A controller that did not answer may have kept jobs of a run that was given up.
        slurm::cancel(&slurm::Jobs::of(&folder)?.all())?;
    }
    if !before.is_final() {
        // Without a leader nobody else would see that its jobs have ended.
        let led = Run::adopt(&folder)?;
        RunView::attached(folder.clone()).cancel()?;
        if let Some(run) = &led {
            run.cancel();
        }
        let give_up = Instant::now() + if on_cluster { CLUSTER_PATIENCE } else { PATIENCE };
        let token = host.cancel();
        while !state.is_final() && Instant::now() < give_up && !token.is_cancelled() {
            token.sleep(LOOK);
            state = state_of(&folder)?;
        }
    }
    let text = match state {
        _ if before.is_final() => format!("run {id} is not going on: it is {}", state.as_str()),
        RunState::Cancelled => format!("run {id} has stopped; bp resume {id} finishes the rest"),
        _ if state.is_final() => {
            format!("run {id} ended before it could be stopped: it is {}", state.as_str())
        }
        _ => format!("run {id} will stop after the blocks in hand; bp status {id} tells when"),
    };
    Ok(Reply::Value(Value { text, html: None, json: json!({ "id": id, "state": state }) }))
}

/// `bp resume` and `bp retry`, which differ in what their user has in mind only.
pub fn resume(verb: &str, args: ResumeArgs, show: Show, host: &mut dyn Host) -> Result<Reply> {
    let config = Config::load()?;
    let folder = registry::find(&config.run_root(), &args.run)?;
    let resume = Resume {
        backend: args.backend,
        workers: args.workers,
        budget: args.memory,
        force: args.force,
        verify: args.verify,
        program: host.program(),
        slurm: args.slurm.changed(&folder)?,
        paths: args.map.clone(),
        ..Resume::default()
    };
    if args.check_nodes {
        resume.check_nodes(&folder, &host.cancel())?;
    }
    if args.detach {
        return detach::start(&args.words(verb), show, &config, host);
    }
    follow(resume.start(&folder)?, show, host)
}

impl ResumeArgs {
    fn words(&self, verb: &str) -> Vec<String> {
        let mut words = vec![verb.to_owned(), self.run.clone()];
        push(&mut words, "--workers", self.workers.as_ref());
        push(&mut words, "--backend", self.backend.map(Backend::as_str).as_ref());
        push(&mut words, "--memory", self.memory.as_ref());
        words.extend(self.slurm.words());
        for map in &self.map {
            words.extend(["--map".to_owned(), map.to_string()]);
        }
        for (given, option) in [(self.force, "--force"), (self.verify, "--verify")] {
            words.extend(given.then(|| option.to_owned()));
        }
        words
    }
}

/// `bp script`.
pub fn script(args: &ScriptArgs) -> Result<Reply> {
    let folder = find(&args.run)?;
    let request = folder.request()?;
    let path = |array: &ArrayRecord| Some(array.spec.as_ref()?.whole().display());
    let inputs: Vec<Option<String>> = request.inputs.iter().map(path).collect();
    let output = request.outputs.first().and_then(path);
    let Code { bp, python, rust } = code_with_paths(&request.code, &inputs, output);
    let text = match args.language {
        Language::Bp => format!("bp {bp}"),
        Language::Python => python.clone(),
        Language::Rust => rust.clone(),
    };
    let json = json!({ "bp": bp, "python": python, "rust": rust });
    Ok(Reply::Value(Value { text, html: None, json }))
}

fn parse_age(text: &str) -> Result<Duration> {
    let (number, unit) =
        text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds = match unit {
        "s" => Some(1),
        "m" | "min" => Some(60),
        "h" => Some(3600),
        "d" => Some(86400),
        "w" => Some(7 * 86400),
        _ => None,
    };
    let age = number.parse::<u64>().ok().zip(seconds).and_then(|(n, unit)| n.checked_mul(unit));
    age.map(Duration::from_secs).ok_or_else(|| {
        Error::argument(format!("'{text}' is not an age")).fix("Write it as 12h, 30d or 4w.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_units() {
        assert_eq!(parse_age("30d").unwrap().as_secs(), 30 * 86400);
        for bad in ["30", "d", "-1d", "1 month"] {
            assert!(parse_age(bad).is_err(), "{bad}");
        }
    }
}
