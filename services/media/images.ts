/**
 * Sizes and thumbnails of images. Decoding is libvips' work, in threads beside the event loop; what it may cost is
 * bounded before it begins: by the bytes, by the pixels that the header tells, by time, and by how many run at once.
 */
import { WochatError } from '../../protocol/errors.ts'

/** Width and height of a thumbnail at most. */
const THUMBNAIL_PX = 320
const THUMBNAIL_QUALITY = 75
/** A larger file is kept without a thumbnail. */
export const IMAGE_BYTES_MAX = 32 * 1024 * 1024
const SECONDS_MAX = 10
const DECODINGS_AT_ONCE = 2
/** Further images wait; beyond this many the call is refused as busy. */
const DECODINGS_WAITING_MAX = 64
const RETRY_AFTER_MS = 1000

type ImageFacts = {
  /** As it is shown, after the rotation that the camera noted. */
  width: number
  height: number
  /** WebP without any metadata; null when the image could not be decoded. */
  thumbnail: Buffer | null
}

export interface Imaging {
  /**
   * Null for bytes that are no image that we know. Refuses `media_refused` for one of too many pixels, and `busy`
   * when too many wait.
   */
  examine(bytes: Buffer): Promise<ImageFacts | null>
}

type Sharp = typeof import('sharp')['default']

export function createImaging({ pixelsMax }: { pixelsMax: number }): Imaging {
  let loading: Promise<Sharp> | null = null
  let running = 0
  const waiting: (() => void)[] = []

  async function take(): Promise<void> {
    if (running < DECODINGS_AT_ONCE) {
      running++
      return
    }
    if (waiting.length >= DECODINGS_WAITING_MAX)
      throw new WochatError('busy', undefined, { retryAfterMs: RETRY_AFTER_MS })
    await new Promise<void>((resolve) => waiting.push(resolve))
  }

  function giveBack(): void {
    const next = waiting.shift()
    if (next === undefined) running--
    else next()
  }

  return {
    async examine(bytes) {
      // Loaded by the first image: a server without any does not spend the memory.
      loading ??= loadSharp()
      const sharp = await loading
      await take()
      try {
        return await examine(sharp, bytes, pixelsMax)
      } finally {
        giveBack()
      }
    },
  }
}

async function loadSharp(): Promise<Sharp> {
  const { default: sharp } = await import('sharp')
  sharp.cache(false)
  sharp.concurrency(1)
  // Only the decoders of the types that are decoded.
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({
    operation: [
      'VipsForeignLoadJpegBuffer',
      'VipsForeignLoadPngBuffer',
      'VipsForeignLoadWebpBuffer',
      'VipsForeignLoadNsgifBuffer',
      'VipsForeignLoadHeifBuffer',
    ],
  })
  return sharp
}

async function examine(sharp: Sharp, bytes: Buffer, pixelsMax: number): Promise<ImageFacts | null> {
  // The header alone; nothing is decoded yet.
  const header = await sharp(bytes, { limitInputPixels: false })
    .metadata()
    .catch(() => null)
  if (header === null) return null
  const { width, height } = header
  if (width * height > pixelsMax) {
    throw new WochatError(
      'media_refused',
      `the image has ${width} x ${height} pixels, more than ${pixelsMax}`,
    )
  }
  const shown = header.autoOrient
  const thumbnail = await sharp(bytes, { limitInputPixels: pixelsMax, sequentialRead: true })
    .autoOrient()
    .resize(THUMBNAIL_PX, THUMBNAIL_PX, { fit: 'inside', withoutEnlargement: true })
    .webp({ quality: THUMBNAIL_QUALITY })
    .timeout({ seconds: SECONDS_MAX })
    .toBuffer()
    .catch(() => null)
  return { width: shown.width, height: shown.height, thumbnail }
}
