//! What Slurm's `srun` says of a rank.

/// The first machine in a list such as `rack[1-2]n[03-04,7],login`: the one that has rank 0.
pub(crate) fn first_host(list: &str) -> Option<String> {
    let mut host = String::new();
    let mut rest = list.chars();
    while let Some(c) = rest.next() {
        match c {
            ',' => break,
            '[' => {
                // Only the first number or name within the brackets.
                let mut skipping = false;
                for c in rest.by_ref().take_while(|&c| c != ']') {
                    skipping |= matches!(c, ',' | '-');
                    if !skipping {
                        host.push(c);
                    }
                }
            }
            c => host.push(c),
        }
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    (!host.is_empty() && host.chars().all(plain)).then_some(host)
}

/// A port that all ranks of a step derive alike, and steps that run at the same time rarely share.
pub(crate) fn port(job: u64, step: u64) -> u16 {
    // Below the range from which systems give out ports by themselves.
    let number = (job % 1000) * 10 + step % 10;
    20_000 + number as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_host_of_a_list() {
        for (list, expected) in [
            ("node-b", Some("node-b")),
            ("node[01-04,07]", Some("node01")),
            ("node[7,9-12],login", Some("node7")),
            ("rack[1-2]n[03-04].example,x[1-2]", Some("rack1n03.example")),
            ("a,b[1-2]", Some("a")),
            ("", None),
            ("[", None),
            ("a b", None),
        ] {
            assert_eq!(first_host(list).as_deref(), expected, "{list}");
        }
    }

    #[test]
    fn steps_of_a_job_have_ports_of_their_own() {
        assert_eq!(port(4711, 0), 27_110);
        assert_eq!(port(4711, 3), 27_113);
        assert_eq!(port(999, u64::from(u32::MAX)), 29_995);
    }
}
