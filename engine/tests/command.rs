//! The shell command as its users run it: its output, its exit status, what it leaves on disk.

#![allow(clippy::unwrap_used, clippy::panic)]

use bioimage_engine::array::Array;
use bioimage_engine::dtype::DType;
use bioimage_engine::grid::Region;
use bioimage_engine::source::zarr::{NewArray, Version, ZarrArray};
use bioimage_engine::source::{Metadata, Sink, Source};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A folder of a test's own, with the state and config of its own user.
struct Place(tempfile::TempDir);

struct Said {
    status: ExitStatus,
    out: String,
    err: String,
}

impl Said {
    fn code(&self) -> i32 {
        self.status.code().unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bp"));
        command
            .args(shell_words::split(line).unwrap())
            .current_dir(self.0.path())
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env_remove("BIOIMAGE_RS_CONFIG")
            .env_remove("BIOIMAGE_PY_CONFIG")
            .env_remove("BIOIMAGE_PY_NO_CONFIG")
            .stdin(Stdio::null());
        command
    }

    fn bp(&self, line: &str) -> Said {
        let output = self.command(line).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { status: output.status, out: text(output.stdout), err: text(output.stderr) }
    }

    fn spawn(&self, line: &str) -> Child {
        self.command(line).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// An array of `side` voxels a side in chunks of `chunk`, all different.
    fn volume(&self, name: &str, side: u64, chunk: u64) -> Array {
        let new = NewArray {
            shape: vec![side; 3],
            dtype: DType::U16,
            chunks: vec![chunk; 3],
            shards: None,
            codec: "none".into(),
            metadata: Metadata::default(),
            version: Version::default(),
        };
        let array = ZarrArray::create(&self.path(name), "", &new, false).unwrap();
        let values: Vec<u16> = (0..side.pow(3)).map(|i| (i * 40503) as u16).collect();
        let block = Array::from_values(&[side; 3], &values).unwrap();
        array.write(&Region::whole(&[side; 3]), &block).unwrap();
        block
    }

    fn read(&self, name: &str) -> Array {
        let array = ZarrArray::open(&self.path(name), "").unwrap();
        array.read(&Region::whole(array.shape())).unwrap()
    }

    fn runs(&self) -> Vec<Value> {
        self.bp("runs --json").json()["runs"].as_array().unwrap().clone()
    }

    /// Waits until a run has ended some blocks, and gives its id.
    fn going_run(&self) -> String {
        let give_up = Instant::now() + Duration::from_secs(30);
        while Instant::now() < give_up {
            if let Some(run) = self.runs().first()
                && run["counts"]["done"].as_u64().unwrap() > 0
            {
                return run["id"].as_str().unwrap().to_owned();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no run came to its first block");
    }
}

/// A copy that goes on for long: many small chunks, each a file.
const LONG: &str = "copy in.zarr out.zarr --chunks 2,2,2 --block-shape 2,2,2 --workers 1";

#[test]
fn a_copy_is_the_same_array_and_is_on_record() {
    let place = Place::new();
    let block = place.volume("in.zarr", 20, 8);
    let said = place.bp("copy in.zarr out.zarr --chunks 6,6,6 --workers 2");
    assert_eq!((said.code(), said.out.contains("succeeded")), (0, true), "{}", said.err);
    assert!(said.err.contains("chunks 6,6,6"), "{}", said.err);
    assert_eq!(place.read("out.zarr"), block);
    let runs = place.runs();
    assert_eq!((runs.len(), runs[0]["state"].as_str()), (1, Some("succeeded")));
    let id = runs[0]["id"].as_str().unwrap();
    for verb in ["status", "watch", "logs", "script"] {
        assert_eq!(place.bp(&format!("{verb} {}", &id[..4])).code(), 0, "{verb}");
    }
    let again = place.bp("script last");
    let input = place.path("in.zarr");
    assert!(again.out.contains(&format!("bp copy {}", input.display())), "{}", again.out);
    assert_eq!(place.bp(&format!("resume {id}")).code(), 2);
    assert!(place.bp("runs gc --older-than 0s").out.contains(id));
    assert!(place.runs().is_empty());
}

#[test]
fn json_is_one_object_and_quiet_is_silent() {
    let place = Place::new();
    place.volume("in.zarr", 8, 8);
    let said = place.bp("copy in.zarr out.zarr --json --quiet");
    assert_eq!((said.json()["state"].as_str(), said.err.as_str()), (Some("succeeded"), ""));
    let info = place.bp("info out.zarr --json").json();
    assert_eq!(info["shape"], serde_json::json!([8, 8, 8]));
    assert_eq!(info["dtype"], "uint16");
    let refused = place.bp("copy missing.zarr other.zarr --json");
    assert_eq!((refused.code(), refused.json()["error"]["kind"].as_str()), (2, Some("not-found")));
}

#[test]
fn a_dry_run_writes_nothing() {
    let place = Place::new();
    place.volume("in.zarr", 16, 8);
    let said = place.bp("copy in.zarr out.zarr --dry-run --block-shape 8,8,8");
    assert_eq!(said.code(), 0);
    for part in ["blocks   8 of 8,8,8", "memory", "bp.copy(\"in.zarr\", \"out.zarr\""] {
        assert!(said.out.contains(part), "{part} in {}", said.out);
    }
    assert!(!place.path("out.zarr").exists() && !place.path("state").exists());
    let plan = place.bp("copy in.zarr out.zarr --dry-run --json --block-shape 8,8,8").json();
    assert_eq!((plan["blocks"].as_u64(), plan["seconds"].is_null()), (Some(8), true));
    place.bp("copy in.zarr out.zarr");
    let plan = place.bp("copy in.zarr other.zarr --dry-run --json").json();
    assert!(plan["seconds"].as_f64().unwrap() > 0.0);
}

#[test]
fn refusals_have_status_2_and_leave_everything_as_it_was() {
    let place = Place::new();
    let block = place.volume("in.zarr", 8, 8);
    place.volume("other.zarr", 4, 4);
    std::os::unix::fs::symlink("in.zarr", place.path("link.zarr")).unwrap();
    std::fs::write(place.path("thesis.txt"), "").unwrap();
    for (line, what, fix) in [
        ("copy im.zarr out.zarr", "'im.zarr' does not exist", "Did you mean 'in.zarr'?"),
        ("copy in.zarr out.tif", "names no Zarr store", "out.zarr"),
        ("copy in.zarr other.zarr", "exists with shape 4,4,4, not 8,8,8", "--overwrite"),
        ("copy in.zarr in.zarr", "both read and written", "another name"),
        ("copy in.zarr other/../in.zarr --overwrite", "both read and written", "another name"),
        ("copy in.zarr other.zarr/../in.zarr --overwrite", "both read and written", "another name"),
        ("copy in.zarr link.zarr --overwrite", "both read and written", "another name"),
        ("copy link.zarr in.zarr --overwrite", "both read and written", "another name"),
        ("copy in.zarr s3://bucket/out.zarr", "remote address", "path"),
        ("copy s3://bucket/in.zarr out.zarr", "remote address", "path"),
        ("copy in.zarr out.zarr --workers x", "--workers cannot be 'x'", "whole number"),
        ("gaussian in.zarr out.zarr --sigma x", "'x' is not understood", "1,2,2"),
        ("gaussian in.zarr out.zarr --sigma 1e9", "1 worker on blocks", "--memory"),
        ("gaussian in.zarr out.zarr --sigma 1e300", "1 worker on blocks", "--memory"),
        ("copy in.zarr out.zarr --chunks 4", "1 extent(s)", "--chunks 4,4,4"),
        ("copy in.zarr out.zarr --roi 0:9,:,:", "does not lie inside", "extent"),
        ("copy in.zarr out.zarr --codec zip", "codec", "zstd"),
        ("copy in.zarr out.zarr --memory 1k", "budget", "--memory"),
        ("status nothing", "no run 'nothing'", "bp runs"),
        ("config worker=2", "no key 'worker'", "workers"),
    ] {
        let said = place.bp(line);
        assert_eq!(said.code(), 2, "{line}: {}", said.err);
        let mut lines = said.err.lines();
        let first = lines.next().unwrap_or_default();
        let second = lines.next().unwrap_or_default();
        assert!(first.contains(what) && second.contains(fix), "{line}: {}", said.err);
    }
    assert!(!place.path("out.zarr").exists());
    let said = place.bp("copy in.zarr thesis.txt/out.zarr");
    assert!(said.code() == 1 && said.err.contains("Give another path"), "{}", said.err);
    assert!(place.runs().is_empty());
    assert_eq!(place.read("in.zarr"), block);
    std::os::unix::fs::symlink("other.zarr", place.path("another.zarr")).unwrap();
    assert_eq!(place.bp("copy in.zarr another.zarr --overwrite").code(), 0);
    assert_eq!(place.read("other.zarr"), block);
    assert!(place.path("another.zarr").is_symlink());
    let said = place.bp("copy in.zarr other.zarr --chunks 2,2,2");
    assert!(said.err.contains("chunks 8,8,8, not 2,2,2"), "{}", said.err);
}

#[test]
fn a_roi_crops_a_new_output_and_stays_inside_a_full_one() {
    let place = Place::new();
    let block = place.volume("in.zarr", 8, 4);
    let roi = Region::new([2, 0, 3], [4, 8, 5]);
    let mut part = Array::zeros(DType::U16, &roi.shape);
    part.paste(&[0, 0, 0], &block, &roi).unwrap();
    assert_eq!(place.bp("copy in.zarr part.zarr --roi 2:6,:,3:").code(), 0);
    assert_eq!(place.read("part.zarr"), part);
    let new = NewArray {
        shape: vec![8; 3],
        dtype: DType::U16,
        chunks: vec![8; 3],
        shards: None,
        codec: "none".into(),
        metadata: Metadata::default(),
        version: Version::default(),
    };
    ZarrArray::create(&place.path("full.zarr"), "", &new, false).unwrap();
    let said = place.bp("copy in.zarr full.zarr --roi 2:6,:,3:");
    assert_eq!(said.code(), 0, "{}", said.err);
    let mut expected = Array::zeros(DType::U16, &[8, 8, 8]);
    expected.paste(&roi.start, &part, &Region::whole(&roi.shape)).unwrap();
    assert_eq!(place.read("full.zarr"), expected);
}

#[test]
fn every_operation_is_a_verb_by_the_same_template() {
    let place = Place::new();
    let block = place.volume("in.zarr", 12, 4);
    let values = block.values::<u16>().unwrap();

    let said = place.bp("downsample in.zarr half.zarr -f 2 --workers 2");
    assert_eq!(said.code(), 0, "{}", said.err);
    assert!(said.err.contains("new, 6,6,6 u16, chunks 4,4,4"), "{}", said.err);
    let half = place.read("half.zarr");
    assert_eq!(half.values::<u16>().unwrap()[1], values[2]);
    // The region is one of the input.
    assert_eq!(place.bp("downsample in.zarr part.zarr -f 1,2,2 --roi 4:8,:,2:").code(), 0);
    let part = place.read("part.zarr");
    assert_eq!(part.shape(), [4, 6, 5]);
    assert_eq!(part.values::<u16>().unwrap()[0], values[4 * 144 + 2]);
    assert_eq!(place.bp("downsample in.zarr half.zarr -f 2 --overwrite --align center").code(), 0);
    let said = place.bp("script last --language python");
    assert!(said.out.contains(", 2, \""), "{}", said.out);
    assert!(said.out.contains("align=\"center\""), "{}", said.out);

    let said = place.bp("downsample in.zarr max.zarr -f 12 --method max");
    assert_eq!(said.code(), 0, "{}", said.err);
    assert_eq!(place.read("max.zarr").values::<u16>().unwrap(), [*values.iter().max().unwrap()]);

    let said = place.bp("pyramid in.zarr levels.ome.zarr --levels 3 --method max --workers 2");
    assert_eq!(said.code(), 0, "{}", said.err);
    assert_eq!(place.read("levels.ome.zarr/s0"), block);
    assert_eq!(place.read("levels.ome.zarr/s2").shape(), [3, 3, 3]);
    let said = place.bp("script last");
    assert!(said.out.contains("levels.ome.zarr --levels 3"), "{}", said.out);
    assert_eq!(place.bp("pyramid in.zarr levels.ome.zarr").code(), 2);

    let said = place.bp("gaussian in.zarr smooth.zarr --sigma 0.5,1,2 --workers 2");
    assert_eq!(said.code(), 0, "{}", said.err);
    assert_eq!(place.read("smooth.zarr").dtype(), DType::F32);
    let said = place.bp("script last --language python");
    assert!(
        said.out.contains("filters.gaussian_smoothing(")
            && said.out.contains("(0.5, 1.0, 2.0), \""),
        "{}",
        said.out
    );
    for (line, shape) in [
        ("hessian in.zarr h.zarr --sigma 1", &[3, 12, 12, 12][..]),
        ("structure in.zarr s.zarr --sigma 1 --outer-scale 2 --return-channel 2", &[12, 12, 12]),
        ("gradient in.zarr g.zarr --sigma 1", &[12, 12, 12]),
        ("laplace in.zarr l.zarr --sigma 1", &[12, 12, 12]),
        ("difference-of-gaussians in.zarr d.zarr --sigma-low 1 --sigma-high 1,2,2", &[12, 12, 12]),
        ("erosion in.zarr e.zarr --radius 1 --shape ball", &[12, 12, 12]),
        ("closing in.zarr c.zarr --radius 0,1,2", &[12, 12, 12]),
        ("black-tophat in.zarr b.zarr --radius 2 --shape cross", &[12, 12, 12]),
        ("median in.zarr m.zarr --radius 1,1,2", &[12, 12, 12]),
    ] {
        let said = place.bp(line);
        assert_eq!(said.code(), 0, "{line}: {}", said.err);
        assert_eq!(place.read(line.split(' ').nth(2).unwrap()).shape(), shape, "{line}");
    }

    let said = place.bp("dilation in.zarr max.zarr --radius 12 --overwrite --workers 2");
    assert_eq!(said.code(), 0, "{}", said.err);
    let greatest = *values.iter().max().unwrap();
    assert_eq!(place.read("max.zarr").values::<u16>().unwrap(), [greatest; 12 * 12 * 12]);
    let said = place.bp("script last --language python");
    assert!(said.out.contains("bp.filters.dilation("), "{}", said.out);

    let said = place.bp("threshold in.zarr mask.zarr --threshold 30000.5 --operator less");
    assert_eq!(said.code(), 0, "{}", said.err);
    let below: Vec<bool> = values.iter().map(|value| *value <= 30000).collect();
    assert_eq!(place.read("mask.zarr").values::<bool>().unwrap(), below);
    let said = place.bp("script last");
    assert!(said.out.ends_with("--threshold 30000.5 --operator less\n"), "{}", said.out);
    let said = place.bp("script last --language python");
    assert!(said.out.starts_with("bp.command(\"threshold "), "{}", said.out);

    let said =
        place.bp("isin in.zarr found.zarr --values -3,40503 --backend subprocess --dtype u8");
    assert_eq!(said.code(), 0, "{}", said.err);
    let found: Vec<u8> = values.iter().map(|value| u8::from(*value == 40503)).collect();
    assert_eq!(place.read("found.zarr").values::<u8>().unwrap(), found);
    let said = place.bp("script last");
    assert!(said.out.contains("'--values=-3,40503' --dtype u8"), "{}", said.out);

    for (line, what) in [
        ("downsample in.zarr out.zarr", "--scale-factor"),
        ("downsample in.zarr out.zarr -f 0", "has a 0"),
        ("downsample in.zarr out.zarr -f 2,2", "2 values, the array has 3 axes"),
        ("downsample in.zarr out.zarr -f two", "'two' is not understood"),
        ("downsample in.zarr out.zarr -f 2 --order 6", "--order"),
        ("downsample in.zarr in.zarr -f 2", "exists with shape 12,12,12, not 6,6,6"),
        ("downsample in.zarr out.zarr -f 2 --method mean --order 1", "are for the method 'sample'"),
        ("gaussian in.zarr out.zarr", "--sigma"),
        ("gaussian in.zarr out.zarr --sigma 0", "must be finite and positive, not 0"),
        ("gaussian in.zarr out.zarr --sigma 1,2", "2 values, the array has 3 axes"),
        ("hessian in.zarr out.zarr --sigma 1 --return-channel 3", "no channel 3"),
        ("structure in.zarr out.zarr --sigma 1", "--outer-scale"),
        ("opening in.zarr out.zarr --radius 1,1", "radius has 2 values, the array has 3 axes"),
        ("opening in.zarr out.zarr --radius=-1", "'-1' is not understood"),
        ("opening in.zarr out.zarr --radius 1 --shape disk", "--shape"),
        ("median in.zarr out.zarr --radius 200", "more than 16777216 voxels"),
        ("threshold in.zarr out.zarr --threshold much", "'much' is not a number"),
        ("threshold in.zarr found.zarr --threshold 1", "dtype uint8, not bool"),
        ("downsample in.zarr out.zarr -f 2 --mask mask.zarr", "the mask"),
    ] {
        let said = place.bp(line);
        assert_eq!(said.code(), 2, "{line}: {}", said.err);
        assert!(said.err.contains(what), "{line}: {}", said.err);
    }
    assert!(!place.path("out.zarr").exists());
}

#[test]
fn a_run_is_cancelled_from_another_process_and_resumed() {
    let place = Place::new();
    let block = place.volume("in.zarr", 40, 40);
    let child = place.spawn(LONG);
    let id = place.going_run();
    let said = place.bp(&format!("cancel {id} --json"));
    assert_eq!(said.json()["state"], "cancelled");
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    assert!(String::from_utf8_lossy(&ended.stderr).contains(&format!("bp resume {id}")));
    assert_eq!(place.bp(&format!("resume {id} --workers 2 --backend subprocess")).code(), 0);
    assert_eq!(place.read("out.zarr"), block);
    assert_eq!(place.runs()[0]["state"], "succeeded");
}

#[test]
fn an_interrupt_stops_within_a_second_and_says_how_to_resume() {
    for backend in ["local", "subprocess"] {
        let place = Place::new();
        place.volume("in.zarr", 40, 40);
        let child = place.spawn(&format!("{LONG} --backend {backend}"));
        let id = place.going_run();
        let asked = Instant::now();
        let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(130), "{backend}");
        // Ten times what is promised: the machine may be busy, the limit must still be one.
        assert!(asked.elapsed() < Duration::from_secs(10), "{backend}");
        assert!(String::from_utf8_lossy(&ended.stderr).contains(&format!("bp resume {id}")));
        assert_eq!(place.runs()[0]["state"], "cancelled", "{backend}");
    }
}

#[test]
fn a_detached_run_goes_on_by_itself() {
    let place = Place::new();
    let block = place.volume("in.zarr", 24, 24);
    let said = place.bp("copy in.zarr out.zarr --chunks 4,4,4 --block-shape 4,4,4 --detach --json");
    assert_eq!(said.code(), 0, "{}", said.err);
    let id = said.json()["id"].as_str().unwrap().to_owned();
    let watched = place.bp(&format!("watch {id}"));
    assert_eq!(watched.code(), 0, "{}", watched.err);
    assert_eq!(place.read("out.zarr"), block);
    let folder = PathBuf::from(said.json()["folder"].as_str().unwrap());
    assert!(folder.join("logs/driver.1.err").is_file());
    let left = std::fs::read_dir(folder.parent().unwrap()).unwrap();
    assert_eq!(left.count(), 1, "the folder of the launch is removed");
    let refused = place.bp("copy missing.zarr other.zarr --detach");
    assert_eq!(refused.code(), 2);
}

#[test]
fn a_failed_run_has_status_1_and_its_blocks_can_be_looked_up() {
    let place = Place::new();
    place.volume("in.zarr", 8, 4);
    let said = place.bp("copy in.zarr out.zarr --dtype u8 --cast checked --workers 1");
    assert_eq!(said.code(), 1, "{}", said.err);
    assert!(said.err.contains("bp resume"), "{}", said.err);
    let status = place.bp("status last");
    assert!(status.out.contains("value-out-of-range"), "{}", status.out);
    let log = place.bp("logs last --block 0");
    assert!(log.out.contains("failed") && log.out.contains("value-out-of-range"), "{}", log.out);
    assert_eq!(place.bp("watch last").code(), 1);
}

#[test]
fn a_config_file_holds_for_runs_and_keeps_its_comments() {
    let place = Place::new();
    place.volume("in.zarr", 8, 4);
    let file = place.path("config/bioimage-rs/config.toml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "# ours\nretries = 1\n").unwrap();
    assert_eq!(place.bp("config workers=3 backend=subprocess").code(), 0);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("# ours\nretries = 1\n") && text.contains("workers = 3"), "{text}");
    let plan = place.bp("copy in.zarr out.zarr --dry-run --json").json();
    assert_eq!((plan["workers"].as_u64(), plan["backend"].as_str()), (Some(3), Some("subprocess")));
    assert_eq!(place.bp("config workers=none").code(), 2);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn defaults_for_the_cluster_are_set_shown_and_removed() {
    let place = Place::new();
    let file = place.path("config/bioimage-rs/config.toml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "# ours\nretries = 1\n").unwrap();
    assert_eq!(place.bp("config slurm partition=cpu time=1:00:00 gpus=2").code(), 0);
    assert_eq!(place.bp("config slurm options=--exclusive latency_wait=5").code(), 0);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("# ours\nretries = 1\n") && text.contains("[slurm]"), "{text}");
    let values = place.bp("config slurm --json").json()["values"].clone();
    assert_eq!(values["partition"], "cpu");
    assert_eq!(values["time"], "1:00:00");
    assert_eq!((&values["gpus"], &values["cpus_per_task"]), (&2.into(), &1.into()));
    assert_eq!(values["options"], serde_json::json!(["--exclusive"]));
    assert_eq!((&values["latency_wait"], &values["mem"]), (&5.0.into(), &().into()));
    assert_eq!(place.bp("config slurm partition=").code(), 0);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("partition"), "{text}");

    let misspelt = place.bp("config slurm partion=cpu");
    assert_eq!(misspelt.code(), 2);
    assert!(misspelt.err.contains("Did you mean 'partition'?"), "{}", misspelt.err);
    for wrong in ["time=soon", "mem=much", "gpus=some", "cpus_per_task=0", "poll_interval=-1"] {
        let said = place.bp(&format!("config slurm {wrong}"));
        let key = wrong.split('=').next().unwrap();
        assert_eq!(said.code(), 2, "{wrong}");
        assert!(said.err.contains(key), "{}", said.err);
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    let help = place.bp("help config").out;
    assert!(help.contains("cpus_per_task") && help.contains("run_root"), "{help}");
}

#[test]
fn a_file_of_bioimage_py_holds_until_ours_has_a_table() {
    let place = Place::new();
    let theirs = place.path("config/bioimage-py/config.toml");
    std::fs::create_dir_all(theirs.parent().unwrap()).unwrap();
    std::fs::write(&theirs, "[slurm]\npartition = 'gpu'\ntime = 30\n").unwrap();
    let values = || place.bp("config slurm --json").json()["values"].clone();
    assert_eq!((&values()["partition"], &values()["time"]), (&"gpu".into(), &"30".into()));
    // What is set for the first time joins what held.
    assert_eq!(place.bp("config slurm time=60").code(), 0);
    assert_eq!((&values()["partition"], &values()["time"]), (&"gpu".into(), &"60".into()));
    std::fs::write(&theirs, "[slurm]\npartition = 'other'\n").unwrap();
    assert_eq!(values()["partition"], "gpu");
}

#[test]
fn a_table_that_is_not_understood_stops_only_what_is_meant_for_slurm() {
    let place = Place::new();
    place.volume("in.zarr", 8, 4);
    let file = place.path("config/bioimage-rs/config.toml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "[slurm]\nspeed = 'high'\n").unwrap();
    assert_eq!(place.bp("copy in.zarr out.zarr --dry-run").code(), 0);
    let said = place.bp("copy in.zarr out.zarr --dry-run --backend slurm");
    assert_eq!(said.code(), 2);
    assert!(said.err.contains("config.toml") && said.err.contains("speed"), "{}", said.err);
}

#[test]
fn a_worker_without_a_run_says_so_and_fails() {
    let place = Place::new();
    let said = place.bp("worker nowhere --task 0 --attempt 1 --launch 0");
    assert_eq!(said.code(), 1);
    assert!(said.err.contains("'nowhere'"), "{}", said.err);
    assert!(!Path::new("nowhere").exists());
}

#[test]
fn every_measurement_is_a_verb_that_tells_a_table() {
    let place = Place::new();
    let block = place.volume("in.zarr", 12, 4);
    let values = block.values::<u16>().unwrap();
    let table = |line: &str| {
        let said = place.bp(&format!("{line} --workers 2 --json"));
        assert_eq!(said.code(), 0, "{line}: {}", said.err);
        said.json()["table"].clone()
    };

    let found = table("unique in.zarr");
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    assert_eq!(found["value"], serde_json::json!(sorted));
    assert_eq!(found["count"], serde_json::json!(vec![1; values.len()]));

    let found = table("histogram in.zarr --bins 2 --range 0,1000");
    let within =
        |low: u16, high: u16| values.iter().filter(|value| (low..high).contains(*value)).count();
    assert_eq!(found["count"], serde_json::json!([within(0, 500), within(500, 1001)]));
    assert_eq!(found["high"], serde_json::json!([500.0, 1000.0]));
    let said = place.bp("script last --language python");
    assert!(said.out.contains("in.zarr\"), bins=2, range=(0, 1000)"), "{}", said.out);
    let found = table("histogram in.zarr --bins 3");
    assert_eq!(found["count"].as_array().unwrap().len(), 3);
    assert_eq!(found["low"][0], 0.0);
    assert_eq!(found["high"][2], f64::from(sorted[sorted.len() - 1]));

    let found = table("morphology in.zarr --table objects.csv");
    assert_eq!(found["label"], serde_json::json!(sorted[1..]));
    let written = std::fs::read_to_string(place.path("objects.csv")).unwrap();
    let header = written.lines().next().unwrap();
    assert!(header.starts_with("label,size,com_z,com_y,com_x,bb_min_z"), "{header}");
    assert_eq!(written.lines().count(), sorted.len());

    let found = table("local-maxima in.zarr --min-distance 2 --threshold-rel 0.5");
    let heights = found["value"].as_array().unwrap();
    assert!(heights.len() > 1, "{found}");
    assert!(heights.windows(2).all(|two| two[0].as_u64() >= two[1].as_u64()));
    let at = ["z", "y", "x"].map(|axis| found[axis][0].as_u64().unwrap() as usize);
    assert_eq!(heights[0], values[(at[0] * 12 + at[1]) * 12 + at[2]]);

    let found =
        table("regionprops in.zarr --resolution 2,1,1 --compute-surface --block-shape 4,4,4");
    assert_eq!(found["label"], serde_json::json!(sorted[1..]));
    assert_eq!((&found["area"][0], &found["extent"][0]), (&2.0.into(), &1.0.into()));
    let single = found["surface_area"][0].as_f64().unwrap();
    // Eight triangles between points in half a voxel's distance.
    assert!((single - 8.0 * 0.125 * 9f64.sqrt()).abs() < 1e-9, "{single}");

    let scores = table("compare in.zarr in.zarr");
    assert_eq!((&scores["vi_split"][0], &scores["f1"][0]), (&0.0.into(), &1.0.into()));
    let pairs = table("compare in.zarr in.zarr --report pairs --ignore-seg 0,40503");
    assert_eq!(pairs["label_a"], pairs["label_b"]);
    assert_eq!(pairs["label_a"].as_array().unwrap().len(), values.len() - 2);
    let said = place.bp("script last");
    assert!(said.out.contains("--report pairs --ignore-seg 0,40503"), "{}", said.out);

    place.volume("small.zarr", 4, 4);
    assert_eq!(place.bp("threshold in.zarr mask.zarr --threshold 5").code(), 0);
    for (line, what) in [
        ("compare in.zarr", "<GT>"),
        ("compare in.zarr small.zarr", "4,4,4"),
        ("compare in.zarr mask.zarr", "expects integer label images"),
        ("morphology mask.zarr", "expects an integer label image"),
        ("regionprops mask.zarr", "expects an integer label image"),
        ("regionprops in.zarr --resolution 1,2", "resolution has 2 values"),
        ("regionprops in.zarr --mask mask.zarr", "takes no mask"),
        ("regionprops in.zarr --resolution 0", "resolution must be positive"),
        ("histogram in.zarr --bins 0", "bins must be in"),
        ("histogram in.zarr --range 3", "range has 1 values"),
        ("histogram in.zarr --range 3,1", "3 to 1"),
    ] {
        let said = place.bp(line);
        assert_eq!(said.code(), 2, "{line}: {} {}", said.out, said.err);
        assert!(said.err.contains(what), "{line}: {}", said.err);
    }
}
