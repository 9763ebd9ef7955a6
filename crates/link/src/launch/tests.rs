use super::*;

fn detect(transport: Transport, variables: &[(&str, &str)]) -> Result<Launch, String> {
    let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Launch::detect(transport, find).map_err(|error| error.to_string())
}

fn tcp(rank: usize, size: usize, host: &str, port: u16) -> Result<Launch, String> {
    Ok(Launch::Tcp(Rendezvous { rank, size, host: host.into(), port }))
}

fn mpi(size: Option<usize>, evidence: &str, open_mpi: bool) -> Result<Launch, String> {
    Ok(Launch::Mpi(Launcher { size, evidence: evidence.into(), open_mpi, library: None }))
}

const TORCHRUN: [(&str, &str); 5] =
    [("RANK", "2"), ("WORLD_SIZE", "4"), ("MASTER_ADDR", "node-a"), ("MASTER_PORT", "29500"), ("LOCAL_RANK", "0")];
const SRUN: [(&str, &str); 5] = [
    ("SLURM_JOB_ID", "4711"),
    ("SLURM_STEP_ID", "0"),
    ("SLURM_PROCID", "1"),
    ("SLURM_STEP_NUM_TASKS", "2"),
    ("SLURM_STEP_NODELIST", "node[07-08]"),
];
const OMPI: [(&str, &str); 2] = [("OMPI_COMM_WORLD_RANK", "3"), ("OMPI_COMM_WORLD_SIZE", "4")];
const MPICH: [(&str, &str); 2] = [("PMI_RANK", "0"), ("PMI_SIZE", "2")];

#[test]
fn each_starter_is_known_by_its_variables() {
    let auto = |variables: &[(&str, &str)]| detect(Transport::Auto, variables);
    assert_eq!(auto(&[("HOME", "/root"), ("MASTER_ADDR", "node-a")]), Ok(Launch::Single));
    assert_eq!(auto(&TORCHRUN), tcp(2, 4, "node-a", 29500));
    assert_eq!(auto(&[&TORCHRUN[..], &[("TORCHELASTIC_RUN_ID", "none")]].concat()), tcp(2, 4, "node-a", 29501));
    assert_eq!(auto(&[&TORCHRUN[..], &[("VAPO_LINK_PORT", "31000")]].concat()), tcp(2, 4, "node-a", 31000));
    assert_eq!(auto(&SRUN), tcp(1, 2, "node07", 27110));
    let given = [("MASTER_ADDR", "10.0.0.7"), ("MASTER_PORT", "4000")];
    assert_eq!(auto(&[&SRUN[..], &given].concat()), tcp(1, 2, "10.0.0.7", 4000));
    assert_eq!(auto(&OMPI), mpi(Some(4), "OMPI_COMM_WORLD_SIZE=4", true));
    assert_eq!(auto(&MPICH), mpi(Some(2), "PMI_SIZE=2", false));
    assert_eq!(auto(&[("PMIX_RANK", "0")]), mpi(None, "PMIX_RANK", false));
}

#[test]
fn the_innermost_starter_counts() {
    let auto = |variables: &[&[(&str, &str)]]| detect(Transport::Auto, &variables.concat());
    // mpirun starts its helpers by srun, and may pass on torchrun's names; torchrun may run under either.
    assert_eq!(auto(&[&OMPI, &SRUN, &TORCHRUN]), mpi(Some(4), "OMPI_COMM_WORLD_SIZE=4", true));
    assert_eq!(auto(&[&MPICH, &SRUN]), mpi(Some(2), "PMI_SIZE=2", false));
    assert_eq!(auto(&[&OMPI, &TORCHRUN, &[("TORCHELASTIC_RUN_ID", "x")]]), tcp(2, 4, "node-a", 29501));
    // srun may offer PMIx, which needs no library as long as TCP does.
    assert_eq!(auto(&[&SRUN, &[("PMIX_RANK", "1")]]), tcp(1, 2, "node07", 27110));
}

#[test]
fn one_process_is_no_job() {
    for variables in [
        &[("OMPI_COMM_WORLD_RANK", "0"), ("OMPI_COMM_WORLD_SIZE", "1")][..],
        &[("RANK", "0"), ("WORLD_SIZE", "1")],
        // What a batch script sees, outside of srun.
        &[("SLURM_JOB_ID", "4711"), ("SLURM_PROCID", "0"), ("SLURM_NTASKS", "8")],
    ] {
        assert_eq!(detect(Transport::Auto, variables), Ok(Launch::Single), "{variables:?}");
    }
    assert_eq!(detect(Transport::Off, &TORCHRUN), Ok(Launch::Single));
}

#[test]
fn the_transport_can_be_chosen() {
    let meeting = [("MASTER_ADDR", "localhost"), ("MASTER_PORT", "4000")];
    assert_eq!(detect(Transport::Tcp, &[&OMPI[..], &meeting].concat()), tcp(3, 4, "localhost", 4000));
    let library = [("VAPO_MPI_LIB", "/opt/libmpi.so")];
    let Ok(Launch::Mpi(launcher)) = detect(Transport::Mpi, &[&SRUN[..], &library].concat()) else { panic!("MPI") };
    assert_eq!(launcher.library.as_deref(), Some("/opt/libmpi.so".as_ref()));
    let message = detect(Transport::Tcp, &[]).expect_err("no rank");
    assert!(message.contains("nothing says which rank this is"), "{message}");
}

#[test]
fn half_set_variables_are_named() {
    let message = |variables: &[(&str, &str)]| detect(Transport::Auto, variables).expect_err("not complete");
    assert!(message(&[("RANK", "1")]).starts_with("RANK is set and WORLD_SIZE is not: torchrun sets both"));
    assert!(message(&[("WORLD_SIZE", "4")]).starts_with("WORLD_SIZE is set and RANK is not"));
    assert!(
        message(&TORCHRUN[..2])
            .contains("RANK=2 and WORLD_SIZE=4 make this one of 4 ranks, but MASTER_ADDR is not set")
    );
    assert!(message(&TORCHRUN[..3]).contains("MASTER_PORT is not set"));
    assert!(
        message(&[("RANK", "4"), ("WORLD_SIZE", "4")]).starts_with("RANK is 4 and WORLD_SIZE 4: expected a rank less")
    );
    assert_eq!(message(&[("RANK", "1"), ("WORLD_SIZE", "four")]), "WORLD_SIZE is \"four\": expected a whole number");
    assert!(message(&[("PMI_SIZE", "2")]).starts_with("PMI_SIZE is set and PMI_RANK is not: mpiexec sets both"));
}

#[test]
fn another_rank_than_the_first_is_known_before_anything_is_connected() {
    let is_another = |variables: &[(&str, &str)]| {
        let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
        Launch::is_another_rank(value)
    };
    for [rank, size] in
        [["RANK", "WORLD_SIZE"], ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"], ["PMI_RANK", "PMI_SIZE"]]
    {
        assert!(is_another(&[(rank, "1"), (size, "2")]) && !is_another(&[(rank, "0"), (size, "2")]), "{rank}");
        assert!(!is_another(&[(rank, "1")]), "{rank} alone means nothing");
    }
    let step = [("SLURM_PROCID", "1"), ("SLURM_STEP_NUM_TASKS", "2"), ("SLURM_STEP_ID", "0")];
    assert!(is_another(&step) && !is_another(&step[..2]), "a batch script is no step");
}
