/** The header of a file in a tar archive, in the format ustar [POSIX.1-2008, pax: ustar interchange format]. */

const BLOCK_BYTES = 512
const NAME_BYTES_MAX = 100
/** Of an archive: two blocks of zeros. */
export const TAR_END: Buffer = Buffer.alloc(2 * BLOCK_BYTES)

/** A whole file: header, content, and zeros up to the next block. */
export function tarFile(name: string, content: Buffer, at: number): Buffer {
  return Buffer.concat([tarHeader(name, content.length, at), content, tarPadding(content.length)])
}

/** What comes before the content of a file. The name is ASCII; `at` in ms. At most 8 GiB - 1. */
export function tarHeader(name: string, bytes: number, at: number): Buffer {
  if (name.length > NAME_BYTES_MAX) throw new RangeError('the name of a file in an archive is too long')
  const header = Buffer.alloc(BLOCK_BYTES)
  header.write(name, 0, 'ascii')
  header.write(octal(0o644, 8), 100)
  header.write(octal(0, 8), 108)
  header.write(octal(0, 8), 116)
  header.write(octal(bytes, 12), 124)
  header.write(octal(Math.floor(at / 1000), 12), 136)
  // The checksum counts as spaces while it is summed up.
  header.write(' '.repeat(8), 148)
  header.write('0', 156)
  header.write('ustar\u000000', 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\u0000 `, 148)
  return header
}

/** The zeros after so many bytes of content. */
export function tarPadding(bytes: number): Buffer {
  return Buffer.alloc((BLOCK_BYTES - (bytes % BLOCK_BYTES)) % BLOCK_BYTES)
}

/** Octal digits that fill a field but for the zero at its end. */
function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, '0')}\u0000`
}
