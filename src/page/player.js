/**
 * Plays a fragmented MP4 as its segment indexes (sidx) lead through it. Resolves to false if `url` is no
 * such file. Firefox knows no such indexes: it reads all that lies before the place that is sought.
 */
async function playByIndex(player, url, from, signal) {
  const AHEAD = 30, FIRST_READ = 1 << 16, TRIES = 3;
  const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
  const settled = (target, event) => new Promise((done) => target.addEventListener(event, done, { once: true }));
  let tag;
  const request = async (range, signal) => {
    const headers = { Range: `bytes=${range}`, ...(tag && { "If-Range": tag }) };
    const response = await fetch(url, { headers, signal });
    if (response.status !== 206) {
      response.body?.cancel();
      throw Error(`status ${response.status}`);
    }
    return response;
  };

  // The head

  let head = new Uint8Array(), type;
  const need = async (length) => {
    if (length <= head.length) return;
    const end = Math.max(length, FIRST_READ);
    const response = await request(`${head.length}-${end - 1}`, signal);
    tag = response.headers.get("ETag");
    type = response.headers.get("Content-Type").split(";")[0];
    head = new Uint8Array(await new Blob([head, await response.arrayBuffer()]).arrayBuffer());
  };
  const view = () => new DataView(head.buffer);
  const indexes = [];
  let initLength = 0;
  try {
    for (let at = 0, kind; kind !== "moof" && kind !== "mdat";) {
      await need(at + 8);
      const length = view().getUint32(at);
      kind = String.fromCharCode(...head.subarray(at + 4, at + 8));
      if (kind === "moov" || kind === "sidx") await need(at + length);
      if (kind === "moov") initLength = at + length;
      if (kind === "sidx") indexes.push(readIndex(view(), at, at + length));
      if (length < 8) break;
      at += length;
    }
  } catch {
    return false;
  }
  if (!indexes.length || !initLength || !MediaSource.isTypeSupported(type)) return false;
  /** The fragments of both tracks lie in the order of their times. */
  const offsetAt = (time) =>
    Math.min(...indexes.map((entries) => (entries.findLast((entry) => entry.time <= time) ?? entries[0]).offset));

  // The media

  const source = new MediaSource(), location = URL.createObjectURL(source);
  player.src = location;
  await settled(source, "sourceopen");
  URL.revokeObjectURL(location);
  const buffer = source.addSourceBuffer(type);
  const append = async (bytes, signal) => {
    while (!signal.aborted) {
      try {
        const appended = settled(buffer, "updateend");
        buffer.appendBuffer(bytes);
        return await appended;
      } catch (error) {
        if (error.name !== "QuotaExceededError") throw error;
        // What was played goes.
        const played = player.currentTime - AHEAD / 3;
        if (played > 0) {
          const removed = settled(buffer, "updateend");
          buffer.remove(0, played);
          await removed;
        }
        await pause(500);
      }
    }
  };
  /** How many seconds can be played from here on. */
  const ahead = () => {
    const { buffered, currentTime } = player;
    for (let range = 0; range < buffered.length; range++) {
      const isHere = buffered.start(range) <= currentTime + 0.1 && currentTime < buffered.end(range);
      if (isHere) return buffered.end(range) - currentTime;
    }
    return 0;
  };
  const stream = async (offset, signal) => {
    for (let tries = 0; !signal.aborted;) {
      try {
        const reader = (await request(`${offset}-`, signal)).body.getReader();
        for (;;) {
          const { done, value } = await reader.read();
          if (done && !signal.aborted) source.endOfStream();
          if (done || signal.aborted) return;
          await append(value, signal);
          offset += value.length;
          tries = 0;
          while (ahead() > AHEAD && !signal.aborted) await pause(200);
        }
      } catch {
        if (signal.aborted || player.error) return;
        if (++tries === TRIES) return source.endOfStream("network");
        await pause(1000);
      }
    }
  };
  let running = new AbortController();
  const begin = () => {
    running.abort();
    if (signal.aborted) return;
    running = new AbortController();
    // It must not be called while media that was played is removed.
    try { if (source.readyState === "open") buffer.abort(); } catch {}
    stream(offsetAt(player.currentTime + ahead()), running.signal);
  };
  await append(head.subarray(0, initLength), signal);
  player.addEventListener("seeking", begin, { signal });
  signal.addEventListener("abort", () => running.abort());
  if (from) player.currentTime = from;
  else begin();
  return true;
}

/** Reads a segment index: the time and the offset of each of its fragments. */
function readIndex(view, at, end) {
  const isLong = view.getUint8(at + 8) > 0, scale = view.getUint32(at + 16);
  const number = (place) => isLong ? Number(view.getBigUint64(place)) : view.getUint32(place);
  const width = isLong ? 8 : 4;
  let ticks = number(at + 20), offset = end + number(at + 20 + width);
  const entries = [];
  for (let place = at + 24 + 2 * width; place + 12 <= end; place += 12) {
    entries.push({ time: ticks / scale, offset });
    offset += view.getUint32(place) & 0x7fffffff;
    ticks += view.getUint32(place + 4);
  }
  return entries;
}
