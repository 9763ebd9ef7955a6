//! vapo-tasks
