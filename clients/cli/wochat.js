#!/usr/bin/env node
// Plain JavaScript, because a Node older than 24 cannot load the TypeScript of the rest: it hands over to the
// Node 24 that `npm ci` puts into node_modules, or says what is missing.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const NODE_MAJOR_MIN = 24

if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_MIN) {
  await import('../../main.ts')
} else {
  const pinned = fileURLToPath(new URL('../../node_modules/node/bin/node', import.meta.url))
  if (existsSync(pinned)) handOver(pinned)
  else {
    console.error(
      `wochat needs Node ${NODE_MAJOR_MIN} or newer, this is ${process.version}; npm ci in the clone brings one`,
    )
    process.exitCode = 1
  }
}

function handOver(pinned) {
  const child = spawn(pinned, process.argv.slice(1), { stdio: 'inherit' })
  // A terminal sends its signals to both; the child decides when this ends. What is sent to us alone is passed on.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  child.on('exit', (status) => {
    process.exitCode = status ?? 1
  })
}
