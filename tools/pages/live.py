"""docs/video.md and docs/serve.md: how fast it is where it runs on."""

from pages.found import result, source


def video() -> str:
    """How quick films are read, how near to a search of every frame, and what an hour of one costs."""
    found, hour = result("video"), result("video_memory")
    speed, near = found["speed"], found["against_searching_every_frame"]["all"]
    faces = sum(film["faces"] for film in found["against_searching_every_frame"]["films"].values())
    lost = sum(
        film["missed"] + film["extra"] for film in found["against_searching_every_frame"]["films"].values()
    )
    parts = ", ".join(f"{part} {row['share']:.0%}" for part, row in found["processor_time_by_part"].items())
    minute = next(key for key in hour if key.startswith("resident_mib_at_minute_"))
    pace = hour["frames_a_second_of_processor_time"]
    return "\n".join(
        [
            f"**Speed:** {found['frames']}, one face, decoding included: {speed['times_real_time']:.1f} times as fast as "
            f"it plays, {speed['processor_milliseconds_a_frame']:.1f} ms of the processor's time a frame. "
            f"On one thread, {parts} of the time ({found['machine']}; {source(found)}).",
            "",
            f"**Against a search of every frame:** {lost} of {faces} faces missed or found in excess; the boxes overlap "
            f"by {near['box_iou_mean']:.3f} (intersection over union, mean; 5 % of them by less than "
            f"{near['box_iou_5_percent_below']:.3f}); the probabilities differ by {near['probabilities_apart_mean']:.3f} "
            f"(total variation, mean; 5 % of them by more than {near['probabilities_apart_5_percent_above']:.3f}), the "
            f"smoothed ones by {near['smoothed_apart_mean']:.3f}.",
            "",
            f"**Memory:** {hour['resident_mib_at_the_end']:.0f} MiB after {hour['minutes_of_film']:.0f} minutes of video, "
            f"{hour['growth_mib']:+.1f} MiB since minute {minute.rsplit('_', 1)[1]}; {pace['first_tenth']:.0f} frames a "
            f"second of the processor's time in the first tenth, {pace['last_tenth']:.0f} in the last "
            f"({hour['machine']}; {source(hour)}).",
        ]
    )


def serving() -> str:
    """What the service bears."""
    found, fuzz, camera = result("serve"), result("serve_fuzz"), result("camera")
    load = found["load"]
    names = {"mien": "`mien serve`", "unbatched": "the same, `--max-batch 1`", "peer": "`fer` behind FastAPI"}
    clients = list(load["mien"])[:-1]
    lines = [
        f"Answers a second, with the median and the 99th percentile of the time to an answer; {found['picture']}, "
        f"{found['seconds_each']:g} s each, in turn, in one run, with `--max-queue 128` so that 64 clients are let in; what "
        f"follows has the default, 16 ({found['machine']}; {source(found)}):",
        "",
        f"| | {' | '.join('1 client' if name == '1 clients' else name for name in clients)} | peak |",
        f"|---|{'---|' * (len(clients) + 1)}",
    ]
    for name, rows in load.items():
        cells = [
            f"{rows[many]['answers_per_second']:.1f} ({rows[many]['p50_milliseconds']:,.0f} / "
            f"{rows[many]['p99_milliseconds']:,.0f} ms)"
            for many in clients
        ]
        lines.append(f"| {names[name]} | {' | '.join(cells)} | {rows['peak_mib']:.0f} MiB |")
    over = found["overload"]
    spent = camera["processor_milliseconds_a_frame"]
    lines += [
        "",
        f"Of {over['statuses']['200'] + over['statuses']['503']} requests that came "
        f"{over['asked_per_second'] / over['able_per_second']:.0f} times as fast as it can answer, "
        f"{over['statuses']['200']} were answered and {over['statuses']['503']} refused with status 503, a refusal taking "
        f"{over['refused']['p50_milliseconds']:.0f} ms (median; 99th percentile "
        f"{over['refused']['p99_milliseconds']:.0f} ms); memory peaks at {over['peak_mib']:.0f} MiB; "
        f"{over['seconds_until_one_who_asks_afterwards_is_answered']:.1f} s afterwards a newcomer has its answer.",
        "",
        f"**Camera**, {camera['camera']}: {camera['frames_a_second']:.0f} frames a second are answered in the page in "
        f"Chromium, for {spent['browser']:.0f} ms of the processor's time in the browser and {spent['service']:.0f} ms in "
        f"the service: {camera['share_of_the_browser']:.0%} of it is the browser's ({source(camera)}). A program that "
        f"sends frames over the socket got {found['camera']['frames_per_second']:.0f} a second in the run above.",
        "",
        f"**Hostile input:** of {fuzz['sent']:,} changed uploads and frames {fuzz['answers_of_500'] or 'none'} "
        f"{'was' if fuzz['answers_of_500'] < 2 else 'were'} answered with status 500; memory grew by {fuzz['growth']:.1%} "
        f"({source(fuzz)}).",
    ]
    return "\n".join(lines)
