/** The unit of systemd, and the shell scripts of the folder. */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { OPTIONS } from '../../config/options.ts'
import { REPO } from '../harness/server.ts'

const UNIT = join(REPO, 'deploy/systemd/wochat.service')
const text = readFileSync(UNIT, 'utf8')
const settingOf = (name: string) => new RegExp(`^${name}=(.*)$`, 'm').exec(text)?.[1]
const has = (tool: string) => spawnSync(tool, ['--version']).error === undefined

describe('wochat.service', () => {
  test.skipIf(!has('systemd-analyze'))('is accepted by systemd', () => {
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', UNIT], { encoding: 'utf8' })
    expect(stderr).toBe('')
    expect(status).toBe(0)
  })

  test.skipIf(!has('systemd-analyze'))('is exposed little, by the measure of systemd', () => {
    const { stdout } = spawnSync('systemd-analyze', ['security', '--offline=true', '--no-pager', UNIT], {
      encoding: 'utf8',
    })
    expect(Number(/Overall exposure level[^:]*: ([\d.]+)/.exec(stdout)?.[1])).toBeLessThan(2.5)
  })

  test('runs as a user of its own, on its own folder, and is given the time to stop', () => {
    expect(settingOf('User')).toBe('wochat')
    expect(settingOf('StateDirectory')).toBe('wochat')
    expect(settingOf('Environment')).toContain('WOCHAT_DATA_DIR=/var/lib/wochat')
    expect(settingOf('ExecStart')).toMatch(/main\.ts serve$/)
    expect(Number(settingOf('TimeoutStopSec')) * 1000).toBeGreaterThan(Number(OPTIONS.stopTimeoutMs.default))
  })
})

const SCRIPTS = ['container', 'compose'].flatMap((folder) =>
  readdirSync(join(REPO, 'deploy', folder))
    .filter((name) => name.endsWith('.sh'))
    .map((name) => join('deploy', folder, name)),
)

describe.each(SCRIPTS)('%s', (script) => {
  test('is a shell script that parses', () => {
    expect(spawnSync('sh', ['-n', join(REPO, script)]).status).toBe(0)
    const lines = readFileSync(join(REPO, script), 'utf8').split('\n')
    expect(lines[0]).toBe('#!/bin/sh')
    expect(lines.some((line) => /^set -e?u$/.test(line))).toBe(true)
  })

  test.skipIf(!has('shellcheck'))('has no fault that shellcheck knows', () => {
    expect(spawnSync('shellcheck', [join(REPO, script)], { encoding: 'utf8' }).stdout).toBe('')
  })
})
