Crop = tuple[int, int, int, int]
def crop_of(path): return None
