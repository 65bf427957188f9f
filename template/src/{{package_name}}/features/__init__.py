"""Feature views: one definition, an offline store for training, an online store for serving."""
