import { generateKeyPairSync } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createKeyFile } from '../auth/key-file.ts'
import { Keyring } from '../auth/keyring.ts'
import { DEFAULT_POLICY } from '../store/policy.ts'
import { openSqliteStore } from '../store/sqlite/client.ts'
import { STORE_FILE } from '../store/sqlite/files.ts'
import { lockFolder } from '../store/sqlite/folder-lock.ts'
import { checkNode, type DoctorSettings, diagnose, type Finding } from './doctor.ts'
import { describeMs } from './key-checks.ts'

let folder: string
let settings: DoctorSettings

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wochat-doctor-'))
  settings = {
    dataDir: join(folder, 'data'),
    diskReserveBytes: 0,
    mqttHost: '127.0.0.1',
    mqttPort: 0,
    mqttTlsPort: 0,
    httpHost: '127.0.0.1',
    httpPort: 0,
    adminHost: '127.0.0.1',
    adminPort: 0,
    tlsCertFile: null,
    tlsKeyFile: null,
    issuers: [],
  }
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Every finding that is not fine, as one text each. */
const complaints = (findings: Finding[]) =>
  findings.filter(({ level }) => level !== 'ok').map(({ level, what }) => `${level} ${what}`)

async function makeDataFolder(): Promise<void> {
  mkdirSync(settings.dataDir)
  await Keyring.open({ storage: createKeyFile(join(settings.dataDir, 'keys')), alg: 'ES256', keepMs: 0 })
  const store = await openSqliteStore({
    file: join(settings.dataDir, STORE_FILE),
    policy: { ...DEFAULT_POLICY, contactsRequired: false },
    unfiledAgeMaxMs: 100,
    waitingSendsMax: 100,
    diskReserveBytes: 0,
    onFatal: () => {},
  })
  await store[Symbol.asyncDispose]()
}

describe('a healthy place', () => {
  test('before the first start nothing is wrong and nothing is made', async () => {
    expect(complaints(await diagnose(settings))).toEqual([])
    expect(readdirSync(folder)).toEqual([])
  })

  test('a data folder that a server left is fine', async () => {
    await makeDataFolder()
    const findings = await diagnose(settings)
    expect(complaints(findings)).toEqual([])
    const text = findings.map(({ what }) => what).join('\n')
    for (const expected of [
      'is whole',
      'ES256',
      'no server runs on it',
      'Node 2',
      'no entry is in the future',
    ]) {
      expect(text).toContain(expected)
    }
  })

  test('every finding is one line', async () => {
    await makeDataFolder()
    for (const { what } of await diagnose(settings)) expect(what).not.toContain('\n')
  })
})

test('a running server is noticed by its lock, which stays its own', async () => {
  await makeDataFolder()
  const lock = lockFolder(settings.dataDir)
  const findings = await diagnose(settings)
  expect(findings.map(({ what }) => what).join('\n')).toContain('a server runs on it')
  expect(() => lockFolder(settings.dataDir)).toThrow('another wochat is running')
  lock.release()
})

describe('ports', () => {
  const listen = (answer: (server: Server) => void): Promise<Server> =>
    new Promise((resolve) => {
      const server = createServer()
      answer(server)
      server.listen(0, '127.0.0.1', () => resolve(server))
    })
  const portOf = (server: Server) => (server.address() as AddressInfo).port

  test('a port of another program is a failure that names the setting', async () => {
    const other = await listen((server) =>
      server.on('connection', (socket) => socket.on('error', () => {}).end('220 mail\r\n')),
    )
    const found = complaints(
      await diagnose({ ...settings, mqttPort: portOf(other), httpPort: portOf(other) }),
    )
    expect(
      found
        .filter((line) => /taken by another program/.test(line))
        .map((line) => /WOCHAT_\w+/.exec(line)?.[0]),
    ).toEqual(['WOCHAT_MQTT_PORT', 'WOCHAT_HTTP_PORT'])
    other.close()
  })

  test('a port that a server of MQTT answers, with no server on this data folder, is a failure', async () => {
    const broker = await listen((server) =>
      server.on('connection', (socket) =>
        socket.once('data', () => socket.end(Buffer.from([0x20, 2, 0, 5]))),
      ),
    )
    const [found] = complaints(await diagnose({ ...settings, mqttPort: portOf(broker) }))
    expect(found).toMatch(/^fail mqttPort .* another data folder/)
    broker.close()
  })

  test('a free port beside a running server is a warning', async () => {
    await makeDataFolder()
    const taken = await listen(() => {})
    const free = portOf(taken)
    await new Promise((resolve) => taken.close(resolve))
    const lock = lockFolder(settings.dataDir)
    expect(complaints(await diagnose({ ...settings, adminPort: free }))).toEqual([
      expect.stringMatching(/^warn adminPort .* other settings/),
    ])
    lock.release()
  })

  test('an address of another machine is a failure', async () => {
    const [found] = complaints(await diagnose({ ...settings, adminHost: '192.0.2.1', adminPort: 19_090 }))
    expect(found).toMatch(/^fail adminPort 19090 on 192\.0\.2\.1 cannot be listened on \(EADDRNOTAVAIL\)/)
  })
})

describe('what is wrong is found', () => {
  test('too little disk', async () => {
    const [found] = complaints(await diagnose({ ...settings, diskReserveBytes: Number.MAX_SAFE_INTEGER }))
    expect(found).toMatch(/^fail .* make room$/)
  })

  test('a data folder that is a file', async () => {
    writeFileSync(settings.dataDir, '')
    expect(complaints(await diagnose(settings))[0]).toMatch(/^fail data folder .*WOCHAT_DATA_DIR/)
  })

  test('keys that others can read', async () => {
    await makeDataFolder()
    chmodSync(join(settings.dataDir, 'keys', 'keyring.json'), 0o644)
    expect(complaints(await diagnose(settings))).toEqual([
      expect.stringMatching(/^fail .*keyring\.json has mode 644.*chmod 600/),
    ])
  })

  test('a damaged key file', async () => {
    await makeDataFolder()
    writeFileSync(join(settings.dataDir, 'keys', 'keyring.json'), '{')
    expect(complaints(await diagnose(settings))).toEqual([expect.stringMatching(/^fail .*keyring\.json/)])
  })

  test('a damaged store', async () => {
    await makeDataFolder()
    writeFileSync(
      join(settings.dataDir, STORE_FILE),
      'no database at all, but long enough to be read as one '.repeat(100),
    )
    expect(complaints(await diagnose(settings))).toEqual([expect.stringMatching(/^fail /)])
  })

  test('a store of a newer version', async () => {
    await makeDataFolder()
    const connection = new DatabaseSync(join(settings.dataDir, STORE_FILE))
    connection.exec('pragma user_version = 999')
    connection.close()
    expect(complaints(await diagnose(settings))).toEqual([
      expect.stringMatching(/^fail .*newer wochat \(schema 999/),
    ])
  })

  test('a clock that went back', async () => {
    await makeDataFolder()
    const longAgo = () => Date.now() - 90_000_000
    expect(complaints(await diagnose(settings, longAgo))).toEqual([
      expect.stringMatching(/^fail clock: the signing key is 1 days in the future/),
    ])
  })

  test('keys of an issuer over plain HTTP, and a file that holds none', async () => {
    const jwks = join(folder, 'jwks.json')
    writeFileSync(jwks, '{"keys": {}}')
    const issuers = [
      { issuer: 'https://a.example', jwks: 'http://a.example/jwks' },
      { issuer: 'https://b.example', jwks },
    ]
    expect(complaints(await diagnose({ ...settings, issuers }))).toEqual([
      expect.stringMatching(/^warn issuer https:\/\/a\.example/),
      expect.stringMatching(/^fail issuer https:\/\/b\.example/),
    ])
  })

  test('a certificate that is none', async () => {
    const tlsCertFile = join(folder, 'cert.pem')
    const tlsKeyFile = join(folder, 'key.pem')
    writeFileSync(tlsCertFile, 'no certificate')
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    writeFileSync(tlsKeyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }))
    expect(complaints(await diagnose({ ...settings, tlsCertFile, tlsKeyFile }))).toHaveLength(1)
  })
})

test('a Node that cannot run TypeScript is too old', () => {
  expect(checkNode('20.20.2').level).toBe('fail')
  expect(checkNode('24.0.0').level).toBe('ok')
})

test('a span of time is told in its largest unit', () => {
  expect([1000, 120_000, 7_200_000, 180_000_000].map(describeMs)).toEqual([
    '1 seconds',
    '2 minutes',
    '2 hours',
    '2 days',
  ])
})
