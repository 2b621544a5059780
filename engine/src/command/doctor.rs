//! `bp doctor`: what the installation has and what it lacks, in words.

use super::options::OutputOptions;
use super::{Host, Reply, Value};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::plan::bytes_text;
use crate::run::default_budget;
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What `bp doctor` takes.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    #[command(flatten)]
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

fn memory() -> Check {
    ok(format!("a run may use {} of memory unless told otherwise", bytes_text(default_budget())))
}
