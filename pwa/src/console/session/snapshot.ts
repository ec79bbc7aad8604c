// A still of what a <video> shows, sent as a file of the video report.
import type { Api } from '$lib/api/client';
import { takeSnapshotMutation } from './operations';

/** The quality of the JPEG, from 0 to 1. */
const quality = 0.92;

/** Waits between tries of an upload that breaks, in ms. */
const retries = [0, 500, 1_000, 3_000];

/** The frame a video shows, as JPEG; null where it shows none. */
export async function still(video: HTMLVideoElement): Promise<Blob | null> {
  if (video.videoWidth === 0 || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) {
    return null;
  }
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext('2d')?.drawImage(video, 0, 0);
  return new Promise((done) => canvas.toBlob(done, 'image/jpeg', quality));
}

/** Sends a still. sourceID: the recording or video it was taken from; null for live video. */
export async function sendSnapshot(api: Api, sessionID: string, sourceID: string | null, jpeg: Blob): Promise<void> {
  const { takeSnapshot } = await api.ask(takeSnapshotMutation, { input: { sessionID, sourceID, size: jpeg.size } });
  const { Upload } = await import('tus-js-client');
  await new Promise<void>((done, fail) => {
    new Upload(jpeg, {
      endpoint: takeSnapshot.url,
      headers: { authorization: `Bearer ${takeSnapshot.token}` },
      chunkSize: takeSnapshot.chunk,
      retryDelays: retries,
      storeFingerprintForResuming: false,
      removeFingerprintOnSuccess: true,
      onSuccess: () => done(),
      onError: fail,
    }).start();
  });
}
