/** For tests: a certificate for 127.0.0.1, signed by its own key, made on the spot [RFC 5280]. */
import { generateKeyPairSync, sign } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const SEQUENCE = 0x30
const SET = 0x31
const INTEGER = 0x02
const BIT_STRING = 0x03
const OCTET_STRING = 0x04
const OBJECT_ID = 0x06
const UTF8_STRING = 0x0c
const UTC_TIME = 0x17
const ECDSA_WITH_SHA256 = Buffer.from('2a8648ce3d040302', 'hex')
const COMMON_NAME = Buffer.from('550403', 'hex')
const SUBJECT_ALT_NAME = Buffer.from('551d11', 'hex')
const DAY_MS = 24 * 60 * 60_000

/** Writes `cert.pem` and `key.pem` into a folder. */
export async function writeCertificate(dir: string): Promise<{ certFile: string; keyFile: string }> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const algorithm = der(SEQUENCE, der(OBJECT_ID, ECDSA_WITH_SHA256))
  const content = buildContent(publicKey.export({ type: 'spki', format: 'der' }), algorithm)
  const signature = der(BIT_STRING, Buffer.of(0), sign('sha256', content, privateKey))
  const certificate = der(SEQUENCE, content, algorithm, signature)
  const base64 = certificate.toString('base64').replace(/.{64}/g, '$&\n')
  const [certFile, keyFile] = [join(dir, 'cert.pem'), join(dir, 'key.pem')]
  await writeFile(certFile, `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`)
  await writeFile(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }))
  return { certFile, keyFile }
}

function buildContent(publicKey: Buffer, algorithm: Buffer): Buffer {
  const name = der(
    SEQUENCE,
    der(SET, der(SEQUENCE, der(OBJECT_ID, COMMON_NAME), der(UTF8_STRING, Buffer.from('wochat test')))),
  )
  const now = Date.now()
  const validity = der(SEQUENCE, utcTime(now - DAY_MS), utcTime(now + DAY_MS))
  const loopback = der(SEQUENCE, der(0x87, Buffer.of(127, 0, 0, 1)), der(0x82, Buffer.from('localhost')))
  const names = der(SEQUENCE, der(OBJECT_ID, SUBJECT_ALT_NAME), der(OCTET_STRING, loopback))
  const extensions = der(0xa3, der(SEQUENCE, names))
  const version = der(0xa0, der(INTEGER, Buffer.of(2)))
  return der(
    SEQUENCE,
    version,
    der(INTEGER, Buffer.of(1)),
    algorithm,
    name,
    validity,
    name,
    publicKey,
    extensions,
  )
}

function utcTime(ms: number): Buffer {
  const text = new Date(ms).toISOString().replace(/\.\d+|[-:T]/g, '')
  return der(UTC_TIME, Buffer.from(text.slice(2)))
}

function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const size =
    length < 0x80
      ? Buffer.of(length)
      : length < 0x100
        ? Buffer.of(0x81, length)
        : Buffer.of(0x82, length >> 8, length & 0xff)
  return Buffer.concat([Buffer.of(tag), size, content])
}
