"""All numbers of a world.

``read("mini")`` fills them from ``params/presets/mini.yaml`` (section ``world``);
the defaults are those of ``mini``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace

from egolib.config import build, read_preset
from egolib.errors import EgolibError

SPLITS = ("train", "val", "test")
REFERENCE_WIDTH = 192  # view width at which one world pixel is one view pixel
ROOM_WIDTH, ROOM_HEIGHT = 1024, 320  # world pixels
OBJECT_PX = 64  # object size at which blur and texture settings are stated


@dataclass(frozen=True)
class WorldSettings:
    """One world. Ranges are (low, high); lengths are world pixels unless they say otherwise.

    A world pixel is one pixel of a 192-px-wide view at zoom 1.

    Args:
        name: preset name, part of every random key.
        world_seed: the world's seed; another seed is another world.
        train_videos: videos for training, one room each.
        val_videos: videos for validation.
        test_videos: videos for test.
        video_sec: length of every video.
        fps: frames per second; also the ``assumed_fps`` that readers are given.
        view_width: pixels of a frame.
        view_height: pixels of a frame.

        classes_per_room: classes of the objects in a room.
        instances_per_class: of each; they are each other's distractors.
        same_hue_fraction: fraction of those instances that also share the colour.

        actions_per_minute: how busy the script is.
        action_sec: length of one action.
        stay: chance that the next action is at the same station.
        bias: 0 draws verb, noun and station independently (within preconditions),
            1 only typical combinations.
        people_per_minute: how often somebody walks past.

        gaze_lead_sec: gaze is on the target this long before the hand comes, and
            after it has gone.
        zoom: its range.
        roll_deg: largest roll in degrees.
        still_fraction: fraction of fixations with a camera at rest.
        drift: standard deviation of the drift of a moving head.
        bob: amplitude of the walking bob.
        saccade_px: speed of saccades in pixels per frame.
        saccade_frames: their length.

        degraded_fraction: fraction of frames with a defocus beyond class recognition, before some
            are cleared so that objects keep sharp views (about 0.4 is left).
        defocus_frames: length of a defocus run.
        defocus_sigma: blur in pixels for objects of 64 px.
        blur_samples: sub-samples of the camera path within one exposure.
        dips_per_minute: exposure dips.
        noise_sigma: sensor noise, grey levels.
        texture_period: stripe or dot distance in pixels for objects of 64 px.

        crf: H.264 quality; a key frame comes every ten frames.
        encoder_preset: of H.264.
        jpeg_quality: of VOD images.
        mask_every: every n-th frame's label map is kept in the truth.

        visible_fraction: an object counts as visible from this fraction of its whole area on.
        visible_area_px: and from this many view pixels on.

        vq_clip_sec: length of VQ2D clips.
        vq_fps: their frames per second.
        vq_queries: query sets of train, val, test (three an annotation).
        vq_invalid_every: every n-th query set is invalid.
        vq_track_frames: length of a response track in clip frames.
        vod_snippets: snippets for training and validation.
        vod_frames: their length in frames.
        det_stills: sharp still images ("DET").
        narrators: narration passes over each video.
        clip_sec: length of narrated clips.
        clip_jitter_sec: their timing error.
        mcq_questions: EgoMCQ questions, half inter-video, half intra-video.
        charades_clips: Charades-Ego clips for training and test.
        charades_sec: their length.
        charades_classes: number of Charades-Ego action classes.
        nlq_queries: queries of train, val, test.
        nlq_interval_sec: length of an answer.
        feature_stride_frames: frames between rows of the symbolic features (1.87 a second).
        feature_fps: frames a second that they are counted in.
        feature_width: columns of symbolic video features.
        word_width: columns of symbolic text features.
        feature_snr: signal power over noise power of the video features.
    """

    name: str = "mini"
    world_seed: int = 0
    train_videos: int = 40
    val_videos: int = 10
    test_videos: int = 6
    video_sec: int = 120
    fps: int = 10
    view_width: int = 192
    view_height: int = 144

    classes_per_room: int = 6
    instances_per_class: int = 2
    same_hue_fraction: float = 0.4

    actions_per_minute: tuple[float, float] = (12.0, 25.0)
    action_sec: tuple[float, float] = (1.0, 1.9)
    stay: float = 0.65
    bias: float = 0.0
    people_per_minute: float = 1.5

    gaze_lead_sec: tuple[float, float] = (0.3, 0.6)
    zoom: tuple[float, float] = (0.8, 1.25)
    roll_deg: float = 8.0
    still_fraction: float = 0.45
    drift: float = 3.0
    bob: float = 3.0
    saccade_px: tuple[float, float] = (15.0, 25.0)
    saccade_frames: tuple[int, int] = (6, 12)

    degraded_fraction: float = 0.45
    defocus_frames: tuple[int, int] = (3, 10)
    defocus_sigma: tuple[float, float] = (4.0, 6.0)
    blur_samples: tuple[int, int] = (4, 8)
    dips_per_minute: float = 3.0
    noise_sigma: float = 2.0
    texture_period: float = 8.5

    crf: int = 23
    encoder_preset: str = "veryfast"
    jpeg_quality: int = 90
    mask_every: int = 10

    visible_fraction: float = 0.25
    visible_area_px: int = 64

    vq_clip_sec: int = 60
    vq_fps: int = 5
    vq_queries: tuple[int, int, int] = (300, 120, 72)
    vq_invalid_every: int = 10
    vq_track_frames: tuple[int, int] = (4, 75)
    vod_snippets: tuple[int, int] = (240, 40)
    vod_frames: tuple[int, int] = (20, 60)
    det_stills: int = 400
    narrators: int = 1
    clip_sec: tuple[float, float] = (1.8, 2.4)
    clip_jitter_sec: float = 0.2
    mcq_questions: int = 300
    charades_clips: tuple[int, int] = (160, 80)
    charades_sec: int = 15
    charades_classes: int = 24
    nlq_queries: tuple[int, int, int] = (400, 200, 120)
    nlq_interval_sec: tuple[float, float] = (1.0, 10.0)
    feature_stride_frames: float = 16.043
    feature_fps: float = 30.0
    feature_width: int = 128
    word_width: int = 64
    feature_snr: float = 1.0

    @property
    def frames(self) -> int:
        """Frames of one video."""
        return self.video_sec * self.fps

    @property
    def scale(self) -> float:
        """View pixels per world pixel at zoom 1."""
        return self.view_width / REFERENCE_WIDTH

    @property
    def size_factor(self) -> float:
        """What settings stated for 64-px objects are multiplied with: ours are smaller."""
        return 0.75

    def videos(self, split: str) -> int:
        """Number of videos of a split."""
        return {"train": self.train_videos, "val": self.val_videos, "test": self.test_videos}[split]

    def key(self) -> tuple[str, int]:
        """The first parts of every random key."""
        return (self.name, self.world_seed)


def read(preset: str, world_seed: int | None = None) -> WorldSettings:
    """The world of a preset, with another seed where one is given."""
    tree = read_preset(preset)
    if not tree.get("world"):
        raise EgolibError(
            f"preset {preset!r} has no built-in world: it is for real data",
            remedy="choose tiny, mini or small",
        )
    settings = build(WorldSettings, {"name": preset, **tree["world"]}, where="world.")
    seed = tree.get("world_seed", 0) if world_seed is None else world_seed
    return replace(settings, world_seed=seed)


def fingerprint(settings: WorldSettings) -> str:
    """SHA-256 of all settings."""
    return hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode()).hexdigest()
