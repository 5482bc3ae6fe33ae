import Foundation

/// Chooses the next token by its logits.
struct Sampler {
    let temperature: Double
    let topP: Double
    let penalty: Double
    private var seen: Set<Int>
    private var random: Random

    init(temperature: Double, topP: Double, penalty: Double, seed: UInt64?, prompt: [Int]) {
        (self.temperature, self.topP, self.penalty) = (temperature, topP, penalty)
        seen = Set(prompt)
        random = Random(state: seed ?? UInt64.random(in: .min ... .max))
    }

    /// Returns the id of the next token.
    mutating func next(_ given: [Float]) -> Int {
        var logits = given
        if penalty != 1 {
            for token in seen {
                logits[token] = logits[token] < 0 ? logits[token] * Float(penalty) : logits[token] / Float(penalty)
            }
        }
        let token = temperature > 0 ? drawn(logits) : (logits.indices.max { logits[$0] < logits[$1] } ?? 0)
        seen.insert(token)
        return token
    }

    private mutating func drawn(_ logits: [Float]) -> Int {
        let largest = Double(logits.max() ?? 0)
        var tokens = logits.indices.map { (token: $0, weight: exp((Double(logits[$0]) - largest) / temperature)) }
        let total = tokens.reduce(0) { $0 + $1.weight }
        if topP < 1 {
            tokens.sort { $0.weight > $1.weight }
            var mass = 0.0
            let count = tokens.firstIndex { entry in
                mass += entry.weight
                return mass >= topP * total
            }
            tokens.removeSubrange(((count ?? tokens.count - 1) + 1)...)
        }
        var left = Double.random(in: 0..<1, using: &random) * tokens.reduce(0) { $0 + $1.weight }
        for entry in tokens {
            left -= entry.weight
            if left < 0 { return entry.token }
        }
        return tokens[tokens.count - 1].token
    }
}

/// SplitMix64 (Steele et al. 2014): the same seed gives the same numbers again.
struct Random: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
