/** Streams that hold what passes through them to what was declared. */
import { createHash } from 'node:crypto'
import { type Readable, Transform } from 'node:stream'
import { WochatError } from '../../protocol/errors.ts'

/** Passes exactly `bytes` bytes, or fails with `bad_request`. */
export function createSizeGuard(bytes: number): Transform {
  let seen = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seen += chunk.length
      if (seen > bytes) done(new WochatError('bad_request', `the body: more than ${bytes} bytes`))
      else done(null, chunk)
    },
    flush(done) {
      if (seen < bytes) done(new WochatError('bad_request', `the body: ${seen} bytes and not ${bytes}`))
      else done()
    },
  })
}

/**
 * Passes bytes that have this SHA-256, or fails with `media_mismatch`. The last piece is held back until the digest is
 * known, so that who writes what comes out never has the whole of a wrong file.
 */
export function createDigestGuard(sha256: string): Transform {
  const hash = createHash('sha256')
  let held: Buffer | null = null
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      if (held !== null) this.push(held)
      held = chunk
      done()
    },
    flush(done) {
      if (hash.digest('hex') !== sha256) return done(new WochatError('media_mismatch'))
      done(null, held)
    },
  })
}

/**
 * Brings the body of a request into a guard. A body that breaks off fails the guard with `bad_request`; when the guard
 * fails, the rest of the body is read and dropped, so that its sender still hears the answer.
 */
export function feed(body: Readable, guard: Transform): void {
  const breakOff = () => guard.destroy(new WochatError('bad_request', 'the body: broke off'))
  // What the guard fails by is told by who reads from it.
  guard.on('error', () => {})
  body.once('error', breakOff)
  body.once('close', () => {
    if (!body.readableEnded) breakOff()
  })
  guard.once('close', () => {
    body.unpipe(guard)
    body.resume()
  })
  if (body.destroyed) breakOff()
  else body.pipe(guard)
}
