//! What the training thread and the drawing thread share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::state::State;

/// The state that the one notes and the other draws.
pub(super) type Shared = Arc<Mutex<State>>;

/// Locks; what a thread that panicked had noted is still good to be shown.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
