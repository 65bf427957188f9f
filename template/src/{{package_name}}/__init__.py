"""One model's way to production and back: data, features, training, registry, serving, monitoring."""
