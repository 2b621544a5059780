//! `bioimage-kernel install` and `uninstall`: the kernelspec.

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

const LOGO: &str = include_str!("../logo.svg");

/// Where the kernelspec goes.
#[derive(Args, Debug, Default)]
pub struct Place {
    /// Jupyter's folder of the user
    #[arg(long, conflicts_with_all = ["prefix", "sys_prefix"])]
    user: bool,
    /// PREFIX/share/jupyter
    #[arg(long, value_name = "PREFIX", conflicts_with = "sys_prefix")]
    prefix: Option<PathBuf>,
    /// The active virtual or conda environment
    #[arg(long)]
    sys_prefix: bool,
    /// The kernel's name
    #[arg(long, default_value = "bioimage-rust")]
    name: String,
}

/// Writes the kernelspec; gives its folder.
///
/// # Errors
/// No place is known, or it cannot be written.
pub fn install(place: &Place) -> Result<PathBuf> {
    let folder = folder(place, &Environment::of_process())?;
    let program = env::current_exe().context("cannot find the path of bioimage-kernel")?;
    write(&folder, &program)?;
    Ok(folder)
}

/// Removes the kernelspec; gives its folder.
///
/// # Errors
/// It is not there, or cannot be removed.
pub fn uninstall(place: &Place) -> Result<PathBuf> {
    let folder = folder(place, &Environment::of_process())?;
    fs::remove_dir_all(&folder)
        .with_context(|| format!("cannot remove the kernelspec '{}'", folder.display()))?;
    Ok(folder)
}

fn write(folder: &Path, program: &Path) -> Result<()> {
    let spec = json!({
        "argv": [program, "-f", "{connection_file}"],
        "display_name": "Rust (bioimage)",
        "language": "rust",
        "interrupt_mode": "message",
        "metadata": { "debugger": false },
    });
    let text = serde_json::to_string_pretty(&spec)?;
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(folder.join("logo-svg.svg"), LOGO))
        .and_then(|()| fs::write(folder.join("kernel.json"), text + "\n"))
        .with_context(|| format!("cannot write the kernelspec to '{}'", folder.display()))
}

/// What the choice of a folder depends on.
#[derive(Default)]
struct Environment {
    virtual_env: Option<PathBuf>,
    conda_prefix: Option<PathBuf>,
    jupyter_data_dir: Option<PathBuf>,
    xdg_data_home: Option<PathBuf>,
    home: Option<PathBuf>,
}

impl Environment {
    fn of_process() -> Self {
        let path = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Environment {
            virtual_env: path("VIRTUAL_ENV"),
            conda_prefix: path("CONDA_PREFIX"),
            jupyter_data_dir: path("JUPYTER_DATA_DIR"),
            xdg_data_home: path("XDG_DATA_HOME"),
            home: env::home_dir(),
        }
    }

    fn sys_prefix(&self) -> Option<PathBuf> {
        self.virtual_env.clone().or_else(|| self.conda_prefix.clone())
    }

    fn user(&self) -> Option<PathBuf> {
        let macos = cfg!(target_os = "macos");
        let default = |home: &PathBuf| {
            home.join(if macos { "Library/Jupyter" } else { ".local/share/jupyter" })
        };
        let xdg = self.xdg_data_home.as_ref().filter(|_| !macos).map(|data| data.join("jupyter"));
        self.jupyter_data_dir.clone().or(xdg).or_else(|| self.home.as_ref().map(default))
    }
}

fn folder(place: &Place, environment: &Environment) -> Result<PathBuf> {
    let share = |prefix: PathBuf| prefix.join("share/jupyter");
    let data = if let Some(prefix) = &place.prefix {
        share(prefix.clone())
    } else if place.sys_prefix {
        share(environment.sys_prefix().context(
            "no environment is active: VIRTUAL_ENV and CONDA_PREFIX are not set.\n\
             Activate one, or use --user or --prefix.",
        )?)
    } else {
        // JUPYTER_DATA_DIR was set by somebody who wants it used.
        let chosen = environment.jupyter_data_dir.clone();
        let active = environment.sys_prefix().filter(|_| !place.user).map(share);
        chosen
            .or(active)
            .or_else(|| environment.user())
            .context("the user's folder is not known: HOME is not set.\nUse --prefix.")?
    };
    Ok(data.join("kernels").join(&place.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { name: "k".to_owned(), ..Place::default() }
    }

    fn chosen(place: &Place, environment: &Environment) -> String {
        folder(place, environment).unwrap().display().to_string()
    }

    #[test]
    fn an_active_environment_is_preferred_to_the_user() {
        let environment = Environment {
            virtual_env: Some("/venv".into()),
            home: Some("/home/u".into()),
            ..Environment::default()
        };
        assert_eq!(chosen(&place(), &environment), "/venv/share/jupyter/kernels/k");
        let user = chosen(&Place { user: true, ..place() }, &environment);
        assert!(user.starts_with("/home/u/"), "{user}");
        let prefix = Place { prefix: Some("/p".into()), ..place() };
        assert_eq!(chosen(&prefix, &environment), "/p/share/jupyter/kernels/k");
    }

    #[test]
    fn jupyter_data_dir_is_honoured() {
        let environment = Environment {
            virtual_env: Some("/venv".into()),
            jupyter_data_dir: Some("/data".into()),
            ..Environment::default()
        };
        assert_eq!(chosen(&place(), &environment), "/data/kernels/k");
        let sys_prefix = Place { sys_prefix: true, ..place() };
        assert_eq!(chosen(&sys_prefix, &environment), "/venv/share/jupyter/kernels/k");
    }

    #[test]
    fn without_an_environment_sys_prefix_says_what_to_do() {
        let sys_prefix = Place { sys_prefix: true, ..place() };
        let error = folder(&sys_prefix, &Environment::default()).unwrap_err();
        assert!(error.to_string().contains("--user"), "{error}");
    }

    #[test]
    fn the_spec_names_this_program_and_can_be_removed() {
        let folder = tempfile::tempdir().unwrap();
        let spec = folder.path().join("kernels/k");
        write(&spec, Path::new("/bin/bioimage-kernel")).unwrap();
        let text = fs::read_to_string(spec.join("kernel.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["argv"], json!(["/bin/bioimage-kernel", "-f", "{connection_file}"]));
        assert_eq!(json["interrupt_mode"], "message");
        assert!(spec.join("logo-svg.svg").exists());
    }
}
