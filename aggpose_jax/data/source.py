"""The interfaces of data sources: indexable records, which of poses have a ground truth in the COCO format."""

from typing import Protocol


class Source(Protocol):
    """A source of records, each a dict of its fields; which fields depends on the source."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> dict: ...


class PoseSource(Source, Protocol):
    """A source whose records are persons with keypoints, with the ground truth that their evaluation needs."""

    def counts(self) -> dict[str, int]:
        """Returns numbers of images, persons and so on by name, for messages."""
        ...

    def ground_truth(self) -> dict:
        """Returns the images, annotations and categories of all records as a COCO dict."""
        ...
