/** Of what kind a file is: by its bytes where they tell, and never more trusted than they deserve. */
import { fileTypeFromBuffer } from 'file-type'
import { WochatError } from '../../protocol/errors.ts'

/** Bytes from the beginning of a file that tell its type. */
export const SNIFFED_BYTES = 4100

const UNKNOWN = 'application/octet-stream'

/** What a browser may show in its own page: it cannot run anything. All else is only for saving. */
const SHOWN: ReadonlySet<string> = new Set([
  'image/jpeg',
  'image/png',
  'image/gif',
  'image/webp',
  'image/avif',
  'image/heic',
  'image/heif',
  'image/bmp',
  'audio/mpeg',
  'audio/mp4',
  'audio/x-m4a',
  'audio/aac',
  'audio/ogg',
  'audio/opus',
  'audio/wav',
  'audio/flac',
  'audio/webm',
  'audio/amr',
  'video/mp4',
  'video/quicktime',
  'video/webm',
  'video/ogg',
  'video/3gpp',
])

/** Images that are decoded for a thumbnail. */
export const DECODED: ReadonlySet<string> = new Set([
  'image/jpeg',
  'image/png',
  'image/gif',
  'image/webp',
  'image/avif',
])

export const isShown = (type: string): boolean => SHOWN.has(type)

/** Programs, and pages that run some, which nobody may pass off as a picture. */
const PROGRAMS: ReadonlySet<string> = new Set([
  'application/x-msdownload',
  'application/x-elf',
  'application/x-mach-binary',
  'application/x-msi',
  'application/vnd.android.package-archive',
  'application/x-apple-diskimage',
  'application/java-archive',
  'application/java-vm',
  'application/wasm',
  'application/xml',
])
const MARKUP = /^\W{0,8}<(?:!--|!doctype|\?xml|html|head|body|script|svg|iframe|style)\b/i
const SCRIPT = /^#!/
const VECTOR_IMAGE = 'image/svg+xml'
const MEDIA = /^(?:image|audio|video)\//

/**
 * The type that a file is kept under. Refuses `media_refused` when it is declared as image, sound or film and is a page
 * or a program. Where the bytes do not tell, a declared type is believed if no browser would show it.
 */
export async function decideType(head: Buffer, declared: string): Promise<string> {
  const found = (await fileTypeFromBuffer(head))?.mime
  const text = head.toString('latin1')
  if (declared === VECTOR_IMAGE && MARKUP.test(text)) return VECTOR_IMAGE
  const isActive = found === undefined ? MARKUP.test(text) || SCRIPT.test(text) : PROGRAMS.has(found)
  if (isActive && MEDIA.test(declared)) {
    throw new WochatError('media_refused', `the file is declared as ${declared} and is a page or a program`)
  }
  if (found !== undefined) return found
  return MEDIA.test(declared) ? UNKNOWN : declared
}
