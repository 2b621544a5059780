//! What a cluster offers to choose from, for forms.

use super::client::{call, config, is_there};
use super::nodes::{self, Nodes};
use super::settings::{memory_text, time_text};
use super::validate::{associations_of, parse_associations};
use crate::error::Result;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// What there is to choose from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// The cluster's name.
    pub cluster: Option<String>,
    /// Partitions, each with what it is.
    pub partitions: Vec<(String, String)>,
    /// Accounts of the user.
    pub accounts: Vec<(String, String)>,
    /// Qualities of service that the user may ask for.
    pub qos: Vec<(String, String)>,
    /// Features of nodes.
    pub features: Vec<(String, String)>,
    /// Why there is nothing.
    pub note: Option<String>,
}

/// The name of the cluster that this machine belongs to.
pub fn cluster() -> Option<String> {
    config().ok().and_then(|mut config| config.remove("ClusterName"))
}

/// Asks the cluster; that it does not answer is told in the note.
pub fn ask() -> Offers {
    if !is_there() {
        let note = Some("Slurm is not installed here: there are no choices to offer.".to_owned());
        return Offers { note, ..Offers::default() };
    }
    asked().unwrap_or_else(|error| Offers { note: Some(error.report()), ..Offers::default() })
}

fn asked() -> Result<Offers> {
    let all = nodes::all()?;
    let cluster = cluster();
    let mut offers = of_nodes(&all);
    // Accounting is not everywhere, and a form without it is still of use.
    let user = call("id", &["-un"])?.trim().to_owned();
    if let Ok(text) = associations_of(&user) {
        (offers.accounts, offers.qos) =
            parse_accounts(&text, cluster.as_deref().unwrap_or_default());
    }
    Ok(Offers { cluster, ..offers })
}

fn of_nodes(all: &[Nodes]) -> Offers {
    let mut partitions: BTreeMap<&str, Vec<&Nodes>> = BTreeMap::new();
    let mut features: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for nodes in all {
        partitions.entry(&nodes.partition).or_default().push(nodes);
        for feature in &nodes.features {
            features.entry(feature).or_default().insert(&nodes.partition);
        }
    }
    let partition = |(name, kinds): (&str, Vec<&Nodes>)| {
        let count: u64 = kinds.iter().map(|nodes| nodes.count).sum();
        let most = |of: fn(&Nodes) -> u64| kinds.iter().map(|nodes| of(nodes)).max().unwrap_or(0);
        let mut facts = vec![
            format!("{count} nodes"),
            format!("up to {} cpus", most(|nodes| nodes.cpus)),
            memory_text(most(|nodes| nodes.memory)),
        ];
        let gpus = most(|nodes| nodes.gpus);
        facts.extend((gpus > 0).then(|| format!("{gpus} gpus")));
        let limit = kinds.first().and_then(|nodes| nodes.time);
        facts.push(
            limit.map_or("any time".to_owned(), |time| format!("at most {}", time_text(time))),
        );
        if kinds.iter().any(|nodes| nodes.is_default) {
            facts.push("default".to_owned());
        }
        (name.to_owned(), facts.join(", "))
    };
    let feature = |(name, partitions): (&str, BTreeSet<&str>)| {
        let partitions: Vec<&str> = partitions.into_iter().collect();
        (name.to_owned(), format!("in {}", partitions.join(", ")))
    };
    Offers {
        partitions: partitions.into_iter().map(partition).collect(),
        features: features.into_iter().map(feature).collect(),
        ..Offers::default()
    }
}

/// A name, and what it is.
type Offer = (String, String);

/// The accounts and the qualities of service of a user on a cluster.
fn parse_accounts(text: &str, cluster: &str) -> (Vec<Offer>, Vec<Offer>) {
    let associations = parse_associations(text, cluster);
    let mut accounts: BTreeMap<&str, &str> = BTreeMap::new();
    let mut qos: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for association in &associations {
        let help = if association.is_default { "default" } else { "" };
        accounts.insert(&association.account, help);
        for one in &association.qos {
            qos.entry(one).or_default().insert(&association.account);
        }
    }
    let with = |accounts: BTreeSet<&str>| {
        format!("with {}", accounts.into_iter().collect::<Vec<_>>().join(", "))
    };
    let accounts = accounts.into_iter().map(|(name, help)| (name.to_owned(), help.to_owned()));
    let qos = qos.into_iter().map(|(name, of)| (name.to_owned(), with(of)));
    (accounts.collect(), qos.collect())
}

impl Offers {
    /// The offers by the names of a form's fields.
    pub fn json(&self) -> Json {
        let choices = |offers: &[Offer]| -> Vec<Json> {
            offers.iter().map(|(value, help)| json!({ "value": value, "help": help })).collect()
        };
        json!({
            "type": "offers",
            "cluster": self.cluster,
            "note": self.note,
            "fields": {
                "partition": choices(&self.partitions),
                "account": choices(&self.accounts),
                "qos": choices(&self.qos),
                "constraint": choices(&self.features),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nodes_have_is_told_by_partition_and_feature() {
        let all = nodes::parse(
            "cpu*|infinite|4|4096|4|(null)|slow\ncpu*|infinite|1|65536|2|(null)|slow,big\n\
             gpu|1-00:00:00|2|8192|8|gpu:a100:2(S:0-1)|fast\n",
        );
        let offers = of_nodes(&all);
        let expected = [
            ("cpu", "5 nodes, up to 4 cpus, 65536M, any time, default"),
            ("gpu", "2 nodes, up to 8 cpus, 8192M, 2 gpus, at most 1-00:00:00"),
        ];
        assert_eq!(offers.partitions, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!(offers.features[2], ("slow".to_owned(), "in cpu".to_owned()));
    }

    #[test]
    fn accounts_are_those_of_this_cluster() {
        let text = "here|lab||high,normal|lab|None\nhere|imaging|gpu|normal|lab|None\n\
                    there|far||far|lab|None\n";
        let (accounts, qos) = parse_accounts(text, "here");
        let pairs = |all: &[(&str, &str)]| -> Vec<Offer> {
            all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        assert_eq!(accounts, pairs(&[("imaging", ""), ("lab", "default")]));
        assert_eq!(qos, pairs(&[("high", "with lab"), ("normal", "with imaging, lab")]));
    }
}
