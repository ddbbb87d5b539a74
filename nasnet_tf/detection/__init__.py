"""Faster-RCNN on the hidden states of a network (paper section 4.3; Ren et al. 2015; the TF Object Detection API's faster_rcnn_nas).

Boxes are (ymin, xmin, ymax, xmax) in pixels of the image as the network sees it, y downwards, the image being [0, height] x [0, width];
where they are shares of the image instead, in [0, 1], they are called normalized.
"""
