// One picture from the camera that is open: the sensor's own where the browser gives it, else what the video shows.

/** The browser's still camera, where there is one. */
interface StillCamera {
  takePhoto(): Promise<Blob>;
}

/** How long the sensor may take, in ms: some browsers never answer. */
const within = 2_500;

/** Takes a picture of the track that the video shows. It stays in the app: no gallery gets it. */
export async function takeStill(track: MediaStreamTrack, video: HTMLVideoElement, sensor: boolean): Promise<File> {
  const own = sensor ? await fromSensor(track) : undefined;
  const blob = own && own.size > 0 ? own : await fromVideo(video);
  const now = new Date();
  return new File([blob], `${now.toISOString().replace(/[:.]/g, '-')}.jpg`, { type: 'image/jpeg', lastModified: now.getTime() });
}

async function fromSensor(track: MediaStreamTrack): Promise<Blob | undefined> {
  const { ImageCapture } = globalThis as { ImageCapture?: new (track: MediaStreamTrack) => StillCamera };
  if (!ImageCapture) {
    return undefined;
  }
  try {
    const late = new Promise<undefined>((done) => setTimeout(done, within, undefined));
    const blob = await Promise.race([new ImageCapture(track).takePhoto(), late]);
    return blob?.type === 'image/jpeg' ? blob : undefined;
  } catch {
    return undefined;
  }
}

async function fromVideo(video: HTMLVideoElement): Promise<Blob> {
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext('2d')?.drawImage(video, 0, 0);
  return new Promise((done, fail) => {
    canvas.toBlob((blob) => (blob ? done(blob) : fail(new Error('no picture'))), 'image/jpeg', 0.92);
  });
}
