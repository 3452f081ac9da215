//! What must not be known: signing secrets and credentials, sealed where they are stored.
