"""What people say about responses: projects, their annotators' judgements as an append-only log, and the store that keeps them."""
