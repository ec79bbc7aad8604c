// What a phone holds: a real photo with what cameras write into one, and a real film; and what ffprobe says of bytes.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { scratch } from './paths.mjs';

/** What the photo says of itself. */
export const exif = {
  make: 'Fujimi',
  model: 'Fujimi P8',
  takenAt: '2026:11:20 08:30:15',
  offset: '+09:00',
  latitude: 35.6895,
  longitude: 139.6917,
};

/** Seconds the film lasts. */
export const filmSeconds = 4;

/** SHA-256 in hex. */
export function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A JPEG of about 3 MB, 4000×3000, with EXIF: {name, mimeType, buffer} as a file chooser takes it. */
export function photo() {
  const path = join(scratch, 'photo.jpg');
  if (!existsSync(path)) {
    const { stdout: plain } = run('ffmpeg', [
      ...['-nostdin', '-v', 'error', '-f', 'lavfi', '-i', 'testsrc2=size=4000x3000:rate=1,noise=alls=26:all_seed=7'],
      ...['-frames:v', '1', '-pix_fmt', 'yuvj420p', '-c:v', 'mjpeg', '-q:v', '7', '-f', 'mjpeg', '-'],
    ]);
    save(path, Buffer.concat([plain.subarray(0, 2), exifSegment(), plain.subarray(2)]));
  }
  return { name: '玄関前の様子_20261120.jpg', mimeType: 'image/jpeg', buffer: readFileSync(path) };
}

/** An MP4 of filmSeconds with picture and sound: {name, mimeType, buffer}. */
export function film() {
  const path = join(scratch, 'film.mp4');
  if (!existsSync(path)) {
    const partial = `${path}.partial`;
    run('ffmpeg', [
      ...['-nostdin', '-v', 'error', '-y', '-f', 'lavfi', '-i', `testsrc2=size=640x360:rate=30:duration=${filmSeconds}`],
      ...['-f', 'lavfi', '-i', `sine=frequency=440:duration=${filmSeconds}`, '-c:v', 'libx264', '-preset', 'ultrafast'],
      ...['-pix_fmt', 'yuv420p', '-c:a', 'aac', '-movflags', '+faststart', '-f', 'mp4', partial],
    ]);
    renameSync(partial, path);
  }
  return { name: '前の道_20261120.mp4', mimeType: 'video/mp4', buffer: readFileSync(path) };
}

/**
 * Decodes a film to its last frame: {seconds, frames, width, height, codec}. Fails where ffprobe finds any fault in it.
 */
export function probe(bytes) {
  const path = join(scratch, `probe-${process.pid}`);
  writeFileSync(path, bytes);
  const { stdout, stderr } = run('ffprobe', [
    ...['-v', 'error', '-select_streams', 'v:0', '-count_frames', '-of', 'json', path],
    ...['-show_entries', 'stream=codec_name,width,height,nb_read_frames:packet=pts_time:format=duration'],
  ]);
  rmSync(path);
  if (stderr.length > 0) {
    throw new Error(`ffprobe finds faults in the film: ${stderr.toString()}`);
  }
  const { streams, packets, format } = JSON.parse(stdout.toString());
  const times = packets.map(({ pts_time }) => Number(pts_time)).filter(Number.isFinite);
  return {
    seconds: Number(format.duration) || Math.max(...times) - Math.min(...times),
    frames: Number(streams[0].nb_read_frames),
    width: streams[0].width,
    height: streams[0].height,
    codec: streams[0].codec_name,
  };
}

function run(program, args) {
  const done = spawnSync(program, args, { maxBuffer: 64 * 2 ** 20 });
  if (done.error) {
    throw new Error(`${program} is needed for the material; scripts/setup.sh installs it`, { cause: done.error });
  }
  if (done.status !== 0) {
    throw new Error(`${program} failed: ${done.stderr.toString()}`);
  }
  return done;
}

function save(path, bytes) {
  writeFileSync(`${path}.partial`, bytes);
  renameSync(`${path}.partial`, path);
}

/** The APP1 segment: a little-endian TIFF of the camera's, the moment's and the place's fields. */
function exifSegment() {
  const ascii = (tag, text) => ({ tag, type: 2, count: text.length + 1, bytes: Buffer.from(`${text}\0`, 'latin1') });
  const long = (tag, value) => ({ tag, type: 4, count: 1, bytes: uint32(value) });
  const degrees = (tag, value) => {
    const minutes = (value % 1) * 60;
    const parts = [Math.floor(value), 1, Math.floor(minutes), 1, Math.round((minutes % 1) * 60 * 1000), 1000];
    return { tag, type: 5, count: 3, bytes: Buffer.concat(parts.map(uint32)) };
  };
  const main = (photoAt, placeAt) => [
    ascii(0x010f, exif.make),
    ascii(0x0110, exif.model),
    long(0x8769, photoAt),
    long(0x8825, placeAt),
  ];
  const photoFields = [ascii(0x9003, exif.takenAt), ascii(0x9011, exif.offset)];
  const placeFields = [
    ascii(1, 'N'),
    degrees(2, exif.latitude),
    ascii(3, 'E'),
    degrees(4, exif.longitude),
  ];
  const header = 8;
  const photoAt = header + directory(main(0, 0), header).length;
  const placeAt = photoAt + directory(photoFields, photoAt).length;
  const tiff = Buffer.concat([
    Buffer.from([0x49, 0x49, 0x2a, 0x00, header, 0, 0, 0]),
    directory(main(photoAt, placeAt), header),
    directory(photoFields, photoAt),
    directory(placeFields, placeAt),
  ]);
  const body = Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), tiff]);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(body.length + 2);
  return Buffer.concat([Buffer.from([0xff, 0xe1]), length, body]);
}

/** One TIFF directory at an offset; values of more than four bytes stand behind it. */
function directory(fields, at) {
  const head = Buffer.alloc(2 + fields.length * 12 + 4);
  head.writeUInt16LE(fields.length);
  const behind = [];
  let next = at + head.length;
  fields.forEach(({ tag, type, count, bytes }, index) => {
    const entry = 2 + index * 12;
    head.writeUInt16LE(tag, entry);
    head.writeUInt16LE(type, entry + 2);
    head.writeUInt32LE(count, entry + 4);
    if (bytes.length <= 4) {
      bytes.copy(head, entry + 8);
    } else {
      head.writeUInt32LE(next, entry + 8);
      const padded = bytes.length % 2 ? Buffer.concat([bytes, Buffer.alloc(1)]) : bytes;
      behind.push(padded);
      next += padded.length;
    }
  });
  return Buffer.concat([head, ...behind]);
}

function uint32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
