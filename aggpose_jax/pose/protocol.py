"""Protocols: how crops are made for a network and how its heatmaps are decoded.

The published metrics of a network hold for the protocol of those who published its weights. Another one changes AP by
up to a few points without any error, so each is named and complete.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Protocol:
    """The conventions of a test protocol. Instance scores, NMS and normalisation are the same in all of them.

    Attributes:
      convention: how a box is mapped to the pixels of a crop, see `geometry.crop_transform`.
      decoder: method that decodes heatmaps, see `codec.Codec`.
      bgr: the network takes the channels of images in the order blue, green, red. They are normalised by the mean and
        standard deviation of red, green, blue, in this order, as in training.
      pixel_center: a box x, y, w, h has its centre at x + (w - 1) / 2, y + (h - 1) / 2 instead of x + w / 2, y + h / 2.
      larger_boxes: annotated boxes are one pixel wider and higher, so that they include the pixels of both sides.
      shifted_flip: the heatmaps of mirrored crops are moved by one pixel to the right, which corrects most of the
        misalignment of the "hrnet" convention.
      nothing: x and y, in heatmap pixels, of a keypoint whose heatmap has no positive value.
    """

    convention: str = "unbiased"
    decoder: str = "dark"
    bgr: bool = False
    pixel_center: bool = False
    larger_boxes: bool = False
    shifted_flip: bool = False
    nothing: int = 0


AGGPOSE = Protocol()
HRNET = Protocol(convention="hrnet", decoder="quarter", shifted_flip=True)

# By name: those of AggPose, of the authors of other networks, and of MMPose.
PROTOCOLS = {
    "aggpose": AGGPOSE,
    "simple_baseline": dataclasses.replace(HRNET, bgr=True),
    "hrnet": HRNET,
    "hrformer": dataclasses.replace(HRNET, nothing=-1),
    "mmpose": dataclasses.replace(HRNET, decoder="quarter_each_axis", nothing=-1),
    "transpose": Protocol(pixel_center=True, larger_boxes=True),
    "tokenpose": Protocol(pixel_center=True, larger_boxes=True),
}


def find_protocol(name: str, convention: str = "", decoder: str = "") -> Protocol:
    """Returns a protocol of PROTOCOLS, with another crop convention or decoder unless these are empty."""
    protocol = PROTOCOLS[name]
    return dataclasses.replace(
        protocol, convention=convention or protocol.convention, decoder=decoder or protocol.decoder
    )
