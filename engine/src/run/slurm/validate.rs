//! Refuses what Slurm would refuse or leave waiting for ever, before anything is written.

use super::asked::Asked;
use super::client::{call, config};
use super::nodes::{self, Nodes};
use super::settings::{SlurmSettings, memory_text, time_text};
use crate::error::{Error, Result, nearest};
use std::collections::{BTreeSet, HashMap};

/// Checks what a run asks of Slurm against what the cluster has. Partitions that are down or drained
/// are not refused: jobs wait there, and the run shows why.
///
/// # Errors
/// `invalid-argument` for what does not exist or exceeds what exists, with what does;
/// `scheduler-failed` where the cluster does not answer.
pub fn validate(settings: &SlurmSettings) -> Result<()> {
    let asked = Asked::of(settings);
    if asked.elsewhere {
        return Ok(());
    }
    let all = nodes::all()?;
    let chosen = match chosen(&asked, &all) {
        // A plugin of the cluster may choose one.
        Err(_) if asked.partition.is_none() && has_submit_plugin() => return Ok(()),
        chosen => chosen?,
    };
    check_constraint(&asked, &all, &chosen)?;
    check_resources(&asked, &chosen)?;
    match check_time(&asked, &all, &chosen) {
        Err(_) if asked.qos.as_deref().is_some_and(lifts_time_limit) => {}
        checked => checked?,
    }
    if asked.account.is_some() || asked.qos.is_some() {
        check_account(&asked, &chosen)?;
    }
    Ok(())
}

fn has_submit_plugin() -> bool {
    let plugins = config().ok().and_then(|mut config| config.remove("JobSubmitPlugins"));
    plugins.is_some_and(|plugins| !matches!(&*plugins, "" | "(null)"))
}

fn lifts_time_limit(qos: &str) -> bool {
    let arguments = ["-n", "-P", "show", "qos", qos, "format=flags"];
    call("sacctmgr", &arguments).is_ok_and(|flags| flags.contains("PartitionTimeLimit"))
}

/// The nodes of the partitions that take the job.
fn chosen<'a>(asked: &Asked, all: &'a [Nodes]) -> Result<Vec<&'a Nodes>> {
    let Some(names) = &asked.partition else {
        let chosen: Vec<&Nodes> = all.iter().filter(|nodes| nodes.is_default).collect();
        if chosen.is_empty() {
            return Err(Error::argument("the cluster has no default partition, and none is named")
                .about("partition")
                .fix(format!("Name one with --partition: {}.", join(partitions(all)))));
        }
        return Ok(chosen);
    };
    let names: Vec<&str> = names.split(',').collect();
    for name in &names {
        if !all.iter().any(|nodes| nodes.partition == *name) {
            let message = format!("there is no partition '{name}'");
            let error = unknown(message, name, "The partitions are", partitions(all));
            return Err(error.about("partition"));
        }
    }
    Ok(all.iter().filter(|nodes| names.contains(&&*nodes.partition)).collect())
}

fn partitions<'a>(nodes: impl IntoIterator<Item = &'a Nodes>) -> BTreeSet<&'a str> {
    nodes.into_iter().map(|nodes| &*nodes.partition).collect()
}

fn check_constraint(asked: &Asked, all: &[Nodes], chosen: &[&Nodes]) -> Result<()> {
    let Some(constraint) = &asked.constraint else { return Ok(()) };
    let Some((names, any)) = features_of(constraint) else { return Ok(()) };
    let exist: BTreeSet<&str> =
        all.iter().flat_map(|nodes| &nodes.features).map(String::as_str).collect();
    for name in &names {
        if !exist.contains(name) {
            let message = format!("there is no node with the feature '{name}'");
            return Err(unknown(message, name, "The features are", exist).about("constraint"));
        }
    }
    let has = |nodes: &Nodes, name: &str| nodes.features.iter().any(|feature| feature == name);
    let fits = |nodes: &&Nodes| match any {
        true => names.iter().any(|name| has(nodes, name)),
        false => names.iter().all(|name| has(nodes, name)),
    };
    if chosen.iter().any(fits) {
        return Ok(());
    }
    Err(Error::argument(format!("no node of {} has {constraint}", partitions_text(chosen)))
        .about("constraint")
        .fix(format!("Its nodes have {}.", kinds_text(chosen))))
}

/// The features of a simple constraint, and whether any of them is enough; `a`, `a&b`, `a|b`. Counts
/// and brackets are left to Slurm.
fn features_of(constraint: &str) -> Option<(Vec<&str>, bool)> {
    let any = constraint.contains('|');
    let names: Vec<&str> = constraint.split(if any { '|' } else { '&' }).map(str::trim).collect();
    let plain = |c: char| c.is_alphanumeric() || "_-.:/+".contains(c);
    names.iter().all(|name| !name.is_empty() && name.chars().all(plain)).then_some((names, any))
}

/// So much of something, which nodes have more or less of.
struct Wanted {
    key: &'static str,
    count: u64,
    of: fn(&Nodes) -> u64,
    text: String,
}

fn check_resources(asked: &Asked, chosen: &[&Nodes]) -> Result<()> {
    let mut wanted = vec![
        Wanted {
            key: "cpus_per_task",
            count: asked.cpus,
            of: |one| one.cpus,
            text: format!("{} cpus", asked.cpus),
        },
        Wanted {
            key: "mem",
            count: asked.memory,
            of: |one| one.memory,
            text: format!("{} of memory", memory_text(asked.memory)),
        },
        Wanted {
            key: "gpus",
            count: asked.gpus,
            of: |one| one.gpus,
            text: format!("{} gpus", asked.gpus),
        },
    ];
    let nodes: Vec<&&Nodes> = chosen.iter().filter(|nodes| nodes.count > 0).collect();
    let has = |nodes: &Nodes, wanted: &Wanted| wanted.count <= (wanted.of)(nodes);
    if nodes.is_empty() || nodes.iter().any(|nodes| wanted.iter().all(|one| has(nodes, one))) {
        return Ok(());
    }
    let nobody_has = |wanted: &Wanted| !nodes.iter().any(|nodes| has(nodes, wanted));
    if wanted.iter().any(nobody_has) {
        wanted.retain(nobody_has);
    } else {
        wanted.retain(|wanted| wanted.count > 0);
    }
    let only = match &wanted[..] {
        [only] => Some(only.key),
        _ => None,
    };
    let wanted: Vec<&str> = wanted.iter().map(|wanted| wanted.text.as_str()).collect();
    let message = format!("no node of {} has {}", partitions_text(chosen), wanted.join(" and "));
    let error = Error::argument(message).fix(format!("Its nodes have {}.", kinds_text(chosen)));
    Err(match only {
        Some(key) => error.about(key),
        None => error,
    })
}

fn check_time(asked: &Asked, all: &[Nodes], chosen: &[&Nodes]) -> Result<()> {
    let Some(time) = asked.time else { return Ok(()) };
    if chosen.iter().any(|nodes| nodes.time.is_none_or(|limit| time <= limit)) {
        return Ok(());
    }
    let limits: BTreeSet<String> = all
        .iter()
        .map(|nodes| match nodes.time {
            Some(limit) => format!("{} ({})", nodes.partition, time_text(limit)),
            None => format!("{} (any time)", nodes.partition),
        })
        .collect();
    Err(Error::argument(format!(
        "a time of {} is above the limit of {}",
        time_text(time),
        partitions_text(chosen)
    ))
    .about("time")
    .fix(format!("Ask for less, or name another partition: {}.", join(limits))))
}

/// What accounting lets a user do.
#[derive(Debug)]
pub(super) struct Association {
    pub account: String,
    /// The only partition that it holds for; empty for all.
    pub partition: String,
    pub qos: Vec<String>,
    pub is_default: bool,
    pub is_admin: bool,
}

fn check_account(asked: &Asked, chosen: &[&Nodes]) -> Result<()> {
    let config = config()?;
    let value = |key: &str| config.get(key).map_or("", String::as_str);
    let enforced: Vec<&str> = value("AccountingStorageEnforce").split(',').collect();
    let is_enforced = |what: &str| enforced.contains(&what) || enforced.contains(&"all");
    if !is_enforced("associations") {
        return Ok(());
    }
    // Slurm goes by the user's number, not by what the environment says.
    let user = call("id", &["-un"])?.trim().to_owned();
    // Without an answer Slurm itself has the word.
    let Ok(text) = associations_of(&user) else { return Ok(()) };
    let associations = parse_associations(&text, value("ClusterName"));
    if associations.is_empty() {
        return Ok(());
    }
    let ours = own_associations(asked, &user, &associations, chosen)?;
    if is_enforced("qos")
        && let Some(qos) = &asked.qos
    {
        let exist = || call("sacctmgr", &["-n", "-P", "show", "qos", "format=name"]);
        check_qos(qos, &ours, || {
            exist().ok().map(|text| text.lines().map(str::to_owned).collect())
        })?;
    }
    let account = ours.first().map_or("", |association| &*association.account);
    check_access(asked, account, &call("scontrol", &["show", "partition", "-a", "-o"])?, chosen)
}

/// What accounting lets a user do, a line for each association.
pub(super) fn associations_of(user: &str) -> Result<String> {
    let format = "format=cluster,account,partition,qos,defaultaccount,adminlevel";
    call("sacctmgr", &["-n", "-P", "show", "user", user, "withassoc", format])
}

/// The associations that hold on a cluster.
pub(super) fn parse_associations(text: &str, cluster: &str) -> Vec<Association> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split('|').collect();
        let [its_cluster, account, partition, qos, default, admin] = fields[..] else {
            return None;
        };
        (its_cluster == cluster).then(|| Association {
            account: account.to_owned(),
            partition: partition.to_owned(),
            qos: qos.split(',').filter(|qos| !qos.is_empty()).map(str::to_owned).collect(),
            is_default: account == default,
            is_admin: !matches!(admin, "" | "None"),
        })
    };
    text.lines().filter_map(row).collect()
}

/// The associations of the account that is asked for, or of the default one.
fn own_associations<'a>(
    asked: &Asked,
    user: &str,
    all: &'a [Association],
    chosen: &[&Nodes],
) -> Result<Vec<&'a Association>> {
    let Some(account) = &asked.account else {
        return Ok(all.iter().filter(|one| one.is_default).collect());
    };
    let ours: Vec<&Association> =
        all.iter().filter(|one| one.account.eq_ignore_ascii_case(account)).collect();
    if ours.is_empty() {
        let names = all.iter().map(|one| &*one.account).collect();
        let message = format!("user '{user}' has no account '{account}'");
        return Err(unknown(message, account, "The accounts are", names).about("account"));
    }
    let partitions = partitions(chosen.iter().copied());
    let holds =
        |one: &&Association| one.partition.is_empty() || partitions.contains(&*one.partition);
    if !ours.iter().any(holds) {
        let names: BTreeSet<&str> = ours.iter().map(|one| &*one.partition).collect();
        return Err(Error::argument(format!(
            "user '{user}' cannot use account '{account}' in {}",
            partitions_text(chosen)
        ))
        .about("account")
        .fix(format!("It can be used in {}.", join(names))));
    }
    Ok(ours.into_iter().filter(holds).collect())
}

fn check_qos(
    qos: &str,
    ours: &[&Association],
    exist: impl Fn() -> Option<Vec<String>>,
) -> Result<()> {
    let may: BTreeSet<&str> = ours.iter().flat_map(|one| &one.qos).map(String::as_str).collect();
    if may.is_empty() || may.contains(qos) {
        return Ok(());
    }
    let Some(exist) = exist() else { return Ok(()) };
    if !exist.iter().any(|name| name == qos) {
        let message = format!("there is no QOS '{qos}'");
        return Err(unknown(message, qos, "Those allowed are", may).about("qos"));
    }
    if ours.iter().any(|one| one.is_admin) {
        return Ok(());
    }
    let account = ours.first().map_or("", |one| &*one.account);
    Err(Error::argument(format!("account '{account}' cannot use QOS '{qos}'"))
        .about("qos")
        .fix(format!("It can use {}.", join(may))))
}

/// Partitions may be closed to some accounts and qualities of service.
fn check_access(asked: &Asked, account: &str, partitions: &str, chosen: &[&Nodes]) -> Result<()> {
    let of_partition: HashMap<&str, HashMap<&str, &str>> = partitions
        .lines()
        .filter_map(|line| {
            let fields: HashMap<&str, &str> =
                line.split_whitespace().filter_map(|field| field.split_once('=')).collect();
            Some((*fields.get("PartitionName")?, fields))
        })
        .collect();
    let checks = [
        ("account", Some(account), "AllowAccounts", "DenyAccounts"),
        ("QOS", asked.qos.as_deref(), "AllowQos", "DenyQos"),
    ];
    for (what, value, allow, deny) in checks {
        let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
        let list = |name: &str, key: &str| {
            let text = of_partition.get(name).and_then(|fields| fields.get(key)).copied();
            text.filter(|text| !matches!(*text, "ALL" | "(null)" | ""))
        };
        let is_open = |name: &str| {
            list(name, allow).is_none_or(|names| names.split(',').any(|one| one == value))
                && list(name, deny).is_none_or(|names| names.split(',').all(|one| one != value))
        };
        if self::partitions(chosen.iter().copied()).into_iter().any(is_open) {
            continue;
        }
        let others: BTreeSet<&str> =
            of_partition.keys().copied().filter(|name| is_open(name)).collect();
        let fix = match others.is_empty() {
            true => format!("Ask for another {what}."),
            false => format!("Partitions that take them: {}.", join(others)),
        };
        let partition = partitions_text(chosen);
        let message = format!("{partition} takes no jobs of {what} '{value}'");
        return Err(Error::argument(message).about(&what.to_lowercase()).fix(fix));
    }
    Ok(())
}

fn unknown(message: String, name: &str, those: &str, exist: BTreeSet<&str>) -> Error {
    let near = nearest(name, exist.iter().copied());
    let near = near.map_or(String::new(), |near| format!("Did you mean '{near}'? "));
    let list = match exist.is_empty() {
        true => "There are none".to_owned(),
        false => format!("{those} {}", join(exist)),
    };
    Error::argument(message).fix(format!("{near}{list}."))
}

fn partitions_text(chosen: &[&Nodes]) -> String {
    let names: Vec<String> =
        partitions(chosen.iter().copied()).iter().map(|name| format!("'{name}'")).collect();
    match &names[..] {
        [one] => format!("partition {one}"),
        _ => format!("partitions {}", names.join(", ")),
    }
}

/// What kinds of nodes there are: `4 cpus, 4096M, 2 gpus (fast)`.
fn kinds_text(chosen: &[&Nodes]) -> String {
    let kind = |nodes: &&Nodes| {
        let Nodes { cpus, memory, gpus, features, .. } = nodes;
        let gpus = if *gpus > 0 { format!(", {gpus} gpus") } else { String::new() };
        let features =
            if features.is_empty() { String::new() } else { format!(" ({})", features.join(",")) };
        format!("{cpus} cpus, {}{gpus}{features}", memory_text(*memory))
    };
    let kinds: BTreeSet<String> = chosen.iter().map(kind).collect();
    kinds.into_iter().collect::<Vec<_>>().join("; ")
}

fn join(names: BTreeSet<impl AsRef<str>>) -> String {
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn nodes() -> Vec<Nodes> {
        nodes::parse(
            "cpu*|infinite|4|4096|4|(null)|slow\ncpu*|infinite|1|65536|2|(null)|slow,big\n\
             gpu|1-00:00:00|2|8192|8|gpu:a100:2(S:0-1)|fast\n",
        )
    }

    fn check(asked: &Asked) -> Result<()> {
        let all = nodes();
        let chosen = chosen(asked, &all)?;
        check_constraint(asked, &all, &chosen)?;
        check_resources(asked, &chosen)?;
        check_time(asked, &all, &chosen)
    }

    fn refusal(asked: &Asked) -> (String, String) {
        let error = check(asked).unwrap_err();
        (error.message, error.fix.unwrap())
    }

    fn partition(name: &str) -> Asked {
        Asked { partition: Some(name.into()), ..Asked::default() }
    }

    #[test]
    fn what_exists_is_listed_beside_the_nearest() {
        let (message, fix) = refusal(&partition("gpuu"));
        assert_eq!(message, "there is no partition 'gpuu'");
        assert_eq!(fix, "Did you mean 'gpu'? The partitions are cpu, gpu.");
        assert!(check(&partition("gpu,cpu")).is_ok());
        assert_eq!(refusal(&partition("cpu,x")).0, "there is no partition 'x'");
        let asked = Asked { constraint: Some("fats".into()), ..partition("gpu") };
        let (message, fix) = refusal(&asked);
        assert_eq!(message, "there is no node with the feature 'fats'");
        assert_eq!(fix, "Did you mean 'fast'? The features are big, fast, slow.");
    }

    #[test]
    fn without_a_default_partition_one_must_be_named() {
        let mut all = nodes();
        all.iter_mut().for_each(|nodes| nodes.is_default = false);
        let error = chosen(&Asked::default(), &all).unwrap_err();
        assert_eq!(error.fix.unwrap(), "Name one with --partition: cpu, gpu.");
    }

    #[test]
    fn simple_constraints_must_be_met_by_some_node() {
        let asked =
            |constraint: &str| Asked { constraint: Some(constraint.into()), ..Asked::default() };
        for good in
            ["slow", "slow&big", "fast|slow", "[fast*2&slow*1]", "fast*2", "(fast|slow)&big"]
        {
            assert!(check(&asked(good)).is_ok(), "{good}");
        }
        for bad in ["fast", "fast&slow"] {
            assert!(refusal(&asked(bad)).0.starts_with("no node of partition 'cpu' has"), "{bad}");
        }
    }

    #[test]
    fn a_node_must_have_everything_at_once() {
        let asked = Asked { cpus: 2, memory: 60 << 30, ..Asked::default() };
        assert!(check(&asked).is_ok());
        let (message, fix) = refusal(&Asked { cpus: 3, ..asked.clone() });
        assert_eq!(message, "no node of partition 'cpu' has 3 cpus and 61440M of memory");
        assert_eq!(fix, "Its nodes have 2 cpus, 65536M (slow,big); 4 cpus, 4096M (slow).");
        let (message, _) = refusal(&Asked { gpus: 3, ..partition("gpu") });
        assert_eq!(message, "no node of partition 'gpu' has 3 gpus");
        assert!(check(&Asked { gpus: 2, ..partition("cpu,gpu") }).is_ok());
    }

    #[test]
    fn a_time_must_be_within_the_limit_of_one_partition() {
        let time = Some(Duration::from_secs(86460));
        assert!(check(&Asked { time, ..partition("cpu,gpu") }).is_ok());
        let (message, fix) = refusal(&Asked { time, ..partition("gpu") });
        assert_eq!(message, "a time of 1-00:01:00 is above the limit of partition 'gpu'");
        assert!(fix.ends_with("cpu (any time), gpu (1-00:00:00)."), "{fix}");
    }

    #[test]
    fn accounts_and_qos_are_those_of_the_user_on_this_cluster() {
        let text = "here|lab||high,low,normal|lab|None\nhere|imaging|gpu|normal|lab|None\n\
                    there|far||far|lab|None\n";
        let associations = parse_associations(text, "here");
        let all = nodes();
        let of = |account: Option<&str>| {
            let asked = Asked { account: account.map(str::to_owned), ..Asked::default() };
            let chosen = chosen(&asked, &all)?;
            own_associations(&asked, "me", &associations, &chosen)
        };
        assert_eq!(of(None).unwrap()[0].account, "lab");
        assert_eq!(of(Some("Lab")).unwrap().len(), 1);
        let error = of(Some("far")).unwrap_err();
        assert_eq!(error.message, "user 'me' has no account 'far'");
        assert_eq!(error.fix.unwrap(), "The accounts are imaging, lab.");
        let error = of(Some("imaging")).unwrap_err();
        assert_eq!(error.fix.unwrap(), "It can be used in gpu.");
        let exist = || Some(vec!["high".to_owned(), "low".into(), "normal".into(), "vip".into()]);
        let ours = of(None).unwrap();
        assert!(check_qos("high", &ours, exist).is_ok());
        let error = check_qos("vip", &ours, exist).unwrap_err();
        assert_eq!(error.message, "account 'lab' cannot use QOS 'vip'");
        let error = check_qos("hihg", &ours, exist).unwrap_err();
        assert_eq!(error.fix.unwrap(), "Did you mean 'high'? Those allowed are high, low, normal.");
        assert!(check_qos("vip", &ours, || None).is_ok(), "left to Slurm without an answer");
    }

    #[test]
    fn a_partition_may_be_closed_to_an_account_or_a_qos() {
        let partitions = "PartitionName=cpu AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL State=UP\n\
                          PartitionName=gpu AllowGroups=ALL DenyAccounts=lab AllowQos=high State=UP\n";
        let all = nodes();
        let access = |partition: &str, account: &str, qos: &str| {
            let asked = Asked { qos: Some(qos.into()), ..self::partition(partition) };
            let chosen = chosen(&asked, &all)?;
            check_access(&asked, account, partitions, &chosen)
        };
        assert!(access("cpu", "lab", "low").is_ok());
        assert!(access("gpu", "imaging", "high").is_ok());
        assert!(access("cpu,gpu", "lab", "low").is_ok());
        let error = access("gpu", "lab", "high").unwrap_err();
        assert_eq!(error.message, "partition 'gpu' takes no jobs of account 'lab'");
        assert_eq!(error.fix.unwrap(), "Partitions that take them: cpu.");
        assert!(access("gpu", "imaging", "low").unwrap_err().message.contains("QOS 'low'"));
    }
}
