"""The page in the browser on which a person labels frames, trains, looks and corrects."""
