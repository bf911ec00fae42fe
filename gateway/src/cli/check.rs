//! `chartward check`: loads all that `serve` would and starts nothing.

use std::io::Write;
use std::path::Path;

use super::UNUSABLE;
use crate::app::Plan;

/// Exit codes: 0 it can be served, 2 it can't.
pub fn check(path: &Path, json: bool, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    match Plan::load(path) {
        Ok(plan) => {
            for (service, pack, grants) in plan.packs() {
                let _ = if json {
                    let line =
                        serde_json::json!({"service": service, "pack": pack, "grants": grants});
                    writeln!(out, "{line}")
                } else {
                    writeln!(out, "service `{service}`: pack {pack}, {grants} grants")
                };
            }
            if !json {
                let _ = writeln!(out, "`{}` can be served", path.display());
            }
            0
        }
        Err(errors) => {
            let _ = if json {
                write!(out, "{}", errors.render_json())
            } else {
                writeln!(err, "{}\n\n{} to mend", errors.render(), errors.len())
            };
            UNUSABLE
        }
    }
}
