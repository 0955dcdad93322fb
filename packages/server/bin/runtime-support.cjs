// Which Node.js lines doorward runs on. Syntax that any Node.js since 0.12 parses.
'use strict'

/**
 * One row for every line that is supported: the first version that is accepted, and the first one that carries the
 * security release of 2026-10-21. A line that is not here has ended or has not been tried.
 */
exports.supportedLines = Object.freeze([
  Object.freeze({ line: 24, floor: '24.21.0', fixed: '24.22.1' }),
  Object.freeze({ line: 26, floor: '26.10.0', fixed: '26.12.1' }),
])

/** The last line that any row above or any judgement here knows of; later ones are "untried", not "ended". */
var newestLine = 26

/**
 * Judges a version such as `v24.21.0`. Returns `{ verdict, version, expected, fixed }`, where verdict is
 * `ok` | `below_security_release` (both run) | `too_old` | `end_of_life` | `untried` | `unreadable` (none of which run),
 * `expected` names what would be accepted and `fixed` the security release of the line, or null.
 */
exports.judgeRuntime = function judgeRuntime(version) {
  var parts = /^v?(\d{1,4})\.(\d{1,4})\.(\d{1,4})$/.exec(String(version))
  if (parts === null) return judgement('unreadable', version, null)
  var line = Number(parts[1])
  var row = rowOf(line)
  if (row === null) return judgement(line > newestLine ? 'untried' : 'end_of_life', version, null)
  if (compare(parts, row.floor) < 0) return judgement('too_old', version, row)
  if (compare(parts, row.fixed) < 0) return judgement('below_security_release', version, row)
  return judgement('ok', version, row)
}

/** True for the verdicts under which doorward runs. */
exports.mayRun = function mayRun(verdict) {
  return verdict === 'ok' || verdict === 'below_security_release'
}

function judgement(verdict, version, row) {
  return { verdict: verdict, version: String(version), expected: expectedText(), fixed: row === null ? null : row.fixed }
}

function rowOf(line) {
  for (var i = 0; i < exports.supportedLines.length; i++) {
    if (exports.supportedLines[i].line === line) return exports.supportedLines[i]
  }
  return null
}

function compare(parts, version) {
  var other = version.split('.')
  for (var i = 0; i < 3; i++) {
    var difference = Number(parts[i + 1]) - Number(other[i])
    if (difference !== 0) return difference
  }
  return 0
}

function expectedText() {
  var texts = []
  for (var i = 0; i < exports.supportedLines.length; i++) {
    texts.push(exports.supportedLines[i].line + '.x from ' + exports.supportedLines[i].floor)
  }
  return 'Node.js ' + texts.join(' or ')
}
