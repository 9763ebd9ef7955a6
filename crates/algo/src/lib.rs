//! vapo-algo
