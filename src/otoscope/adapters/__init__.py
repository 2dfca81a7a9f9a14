"""Other people's trainers and recognisers; each module needs the extra of its name."""
