"""How much of everything the demo holds, and the names that its parts share."""

from dataclasses import dataclass

from bidsapp.errors import UsageError

REPETITION_TIME = 2.0  # s
START_TIME = 1.0  # s: when fMRIPrep says that a volume was taken, after its onset
THREADS = 2  # runs or participants made at a time
SHARED_VOLUMES = 8  # 16 s of film that neighbouring runs both show
LOCALIZER_VOLUMES = 156
LOCALIZER_TASK, LOCALIZER_SESSION = "objectcategories", "localizer"
MOVIE_TASK, MOVIE_SESSION = "movie", "movie"


@dataclass(frozen=True)
class DemoSize:
    """Numbers of participants and of volumes in each movie run."""

    participants: int = 4
    volumes: tuple[int, ...] = (128, 124, 132, 126)

    def __post_init__(self) -> None:
        if self.participants < 1 or len(self.volumes) < 3 or min(self.volumes) < 3 * SHARED_VOLUMES:
            raise UsageError(
                "a demo dataset needs a participant and 3 movie runs of at least "
                f"{3 * SHARED_VOLUMES} volumes; got {self.participants} and {self.volumes}"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """Participants, without 'sub-'."""
        return tuple(f"{index:02d}" for index in range(1, self.participants + 1))

    @property
    def runs(self) -> tuple[str, ...]:
        """Movie runs."""
        return tuple(str(index) for index in range(1, len(self.volumes) + 1))

    @property
    def film_starts_s(self) -> tuple[float, ...]:
        """Where in the whole film each run begins, in seconds."""
        starts = [0.0]
        for volumes in self.volumes[:-1]:
            starts.append(starts[-1] + (volumes - SHARED_VOLUMES) * REPETITION_TIME)
        return tuple(starts)

    @property
    def film_s(self) -> float:
        """Length of the whole film in seconds."""
        return self.film_starts_s[-1] + self.volumes[-1] * REPETITION_TIME


SMALL = DemoSize(participants=3, volumes=(120, 120, 120, 120))
