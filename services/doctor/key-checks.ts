/** Keys: who may read them, whether they are usable, and until when. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createKeyFile } from '../auth/key-file.ts'
import { Keyring } from '../auth/keyring.ts'
import { type DoctorSettings, type Finding, fail, ok, warn } from './finding.ts'

const DAY_MS = 86_400_000
const RENEW_AHEAD_DAYS = 14
/** How far clocks may differ without harm. */
const CLOCK_SKEW_MS = 60_000

export async function checkKeyring(dataDir: string, now: number): Promise<Finding[]> {
  const dir = join(dataDir, 'keys')
  if (!existsSync(dir)) return [ok(`signing key: not there yet; the first start makes it in ${dir}`)]
  const { signing } = await Keyring.read(createKeyFile(dir), () => now)
  const findings = [checkMode(dir, 0o700), checkMode(join(dir, 'keyring.json'), 0o600)]
  const ageMs = now - signing.createdAt
  if (ageMs < -CLOCK_SKEW_MS) {
    findings.push(
      fail(
        `clock: the signing key is ${describeMs(-ageMs)} in the future, new tokens count as too early; set the clock right`,
      ),
    )
  }
  findings.push(
    ok(`signing key ${signing.kid} (${signing.alg}), ${Math.max(0, Math.floor(ageMs / DAY_MS))} days old`),
  )
  return findings
}

/** Whether nobody but the owner may enter or read. */
function checkMode(path: string, wanted: number): Finding {
  const mode = statSync(path).mode & 0o777
  if ((mode & 0o077) === 0) return ok(`${path} is its owner's alone`)
  return fail(
    `${path} has mode ${mode.toString(8)}: others can read the keys; chmod ${wanted.toString(8)} it`,
  )
}

export function checkTls({ tlsCertFile, tlsKeyFile }: DoctorSettings, now: number): Finding[] {
  if (tlsCertFile === null || tlsKeyFile === null) return []
  const certificate = new X509Certificate(readFileSync(tlsCertFile))
  const findings: Finding[] = []
  if ((statSync(tlsKeyFile).mode & 0o007) !== 0)
    findings.push(warn(`${tlsKeyFile} can be read by everybody; chmod 600 it`))
  if (!certificate.checkPrivateKey(createPrivateKey(readFileSync(tlsKeyFile)))) {
    findings.push(fail(`${tlsKeyFile} is not the key of ${tlsCertFile}; name the two that belong together`))
  }
  return [...findings, checkDates(tlsCertFile, certificate, now)]
}

function checkDates(file: string, { validFromDate, validToDate }: X509Certificate, now: number): Finding {
  const leftMs = validToDate.getTime() - now
  if (leftMs < 0) return fail(`certificate ${file} ended ${describeMs(-leftMs)} ago; renew it`)
  if (validFromDate.getTime() > now)
    return fail(`certificate ${file} is not valid yet; set the clock right or wait`)
  if (leftMs < RENEW_AHEAD_DAYS * DAY_MS)
    return warn(`certificate ${file} ends in ${describeMs(leftMs)}; renew it`)
  return ok(`certificate ${file} is valid for ${describeMs(leftMs)}`)
}

export function checkIssuers(issuers: DoctorSettings['issuers']): Finding[] {
  return issuers.map(({ issuer, jwks }) => {
    if (jwks.startsWith('https:')) return ok(`issuer ${issuer}: keys come from ${jwks}`)
    if (jwks.startsWith('http:'))
      return warn(`issuer ${issuer}: keys come over plain HTTP, where others can change them; use https`)
    const { keys } = JSON.parse(readFileSync(jwks, 'utf8')) as { keys?: unknown }
    if (!Array.isArray(keys))
      return fail(`issuer ${issuer}: ${jwks} is not a JWKS; it must hold {"keys": [...]}`)
    return ok(`issuer ${issuer}: ${keys.length} keys in ${jwks}`)
  })
}

/** In the largest unit that fits: `3 days`. */
export function describeMs(ms: number): string {
  const units: [string, number][] = [
    ['days', DAY_MS],
    ['hours', 3_600_000],
    ['minutes', 60_000],
  ]
  const [unit, size] = units.find(([, size]) => ms >= size) ?? ['seconds', 1000]
  return `${Math.floor(ms / size)} ${unit}`
}
