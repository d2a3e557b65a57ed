"""What scripts/davis_benchmark.py measures: revseg, trained on a few labelled frames, beside what else one could do.

case           one measurement: sequence, number of labelled frames, method, seed; and the settings all of them share
problem        a case with its video: the labels that a method is given, the measure of its masks on the other frames
methods        every method by name, from a problem to masks
optical_flow   labels carried along by dense optical flow
unet           MONAI's 3D UNet, trained by revseg's recipe
trial          one process: time and peak memory of one case
footprint      peak memory of a process above what it held before
results        the folder of results: what is in it is not measured again
tables, page   CSV and Markdown
sheet          contact sheets: frame, truth, prediction, error
"""
