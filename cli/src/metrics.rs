//! `atoll metrics`: the figures of a cluster as Prometheus reads them.
//!
//! In: a directory. Out: text in the format 0.0.4. Counts of operations are those of the process that has the cluster open: of this
//! command they are 0, and a program tells its own through `Cluster::metrics`.

use clap::Args;

use crate::failure::{Failure, Outcome};
use crate::output;
use crate::session::{self, DirArg};

/// Options of `atoll metrics`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  atoll metrics data
  atoll metrics data > /var/lib/node_exporter/textfile/atoll.prom.new

The names are in docs/OPERATIONS.md. A cluster that a program has open is not opened beside it: the program gives its
own figures (Cluster::metrics, atoll_cluster_metrics), with the operations it has counted.
Exit code 4: a program has the cluster open.")]
pub struct MetricsArgs {
    #[command(flatten)]
    dir: DirArg,
}

/// Prints the figures.
pub fn run(args: &MetricsArgs) -> Outcome {
    if crate::one_store::is_store(&args.dir.dir) {
        return Err(Failure::usage(format!(
            "{} is one store, whose figures its writer has: Store::metrics, atoll_metrics; `atoll status` reads beside it",
            args.dir.dir.display()
        )));
    }
    let text = session::with(&args.dir.dir, |cluster| Ok(cluster.metrics()?))?;
    output::print(text.trim_end())
}
