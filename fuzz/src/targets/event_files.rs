//! A run's file for TensorBoard, whole and cut off at half of its length.

use vapo_train::tensorboard::events;

use super::Directory;

const NAME: &str = "events.out.tfevents.0000000001.vapo";

pub(crate) fn event_files(data: &[u8]) {
    let directory = Directory::new();
    directory.write(NAME, data);
    let Ok(whole) = events(&directory.path()) else { return };
    assert!(whole.iter().all(|event| event.part().is_some()), "an event of a step has values");
    directory.write(NAME, &data[..data.len() / 2]);
    let half = events(&directory.path()).expect("a record that was not completed is no damage");
    assert!(whole.starts_with(&half), "what is complete is the same");
}
