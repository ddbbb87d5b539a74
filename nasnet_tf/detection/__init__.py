"""Faster-RCNN on the hidden states of a network (paper section 4.3; Ren et al. 2015).

"The original" in this package is faster_rcnn_nas of the TF Object Detection API.

Boxes are (ymin, xmin, ymax, xmax) in pixels of the network's input image, which covers [0, height] x [0, width]; y grows downwards. Boxes
given as fractions of the height and width, in [0, 1], are called normalized.
"""
