"""What takes longest of the evidence on a CPU, in C; OpenCV, NumPy and PyTorch compute where there is no compiler.

    dis.c           optical flow: dis_scales.h the pyramid, dis_search.h where patches are found, dis_dense.h the flow of pixels
    warp.c          look-ups along ways, ways behind ways, how far a way there and back agrees, sums over neighbours
    descriptors.c   what the surroundings of a pixel look like, with the blurs of blur.h
    perceptron.c    what a classifier says of pixels, and the gradients that it learns by
    background.c    what is behind pixels, and how they differ from it
    opinion.c       evidence weighed with an opinion of it, and what else is made of one

Each has a Python file of its name that calls it (``fields`` calls warp.c); ``library`` compiles and loads them.
"""
