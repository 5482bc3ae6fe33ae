import Foundation

/// A class and its score: a probability, or a regression's value.
public struct ScoredLabel: Sendable, Equatable {
    public let name: String
    public let score: Float
}

extension Manifest.Answer {
    /// The labels of one row of logits, best first.
    func labels(_ logits: [Float]) throws -> [ScoredLabel] {
        guard let names = labels, names.count == logits.count else {
            throw ModelError.bundleDamaged("edgepack.json names \(labels?.count ?? 0) labels, not \(logits.count)")
        }
        let scores: [Float]
        switch problemType {
        case "regression":
            scores = logits
        case "multi_label_classification":
            scores = logits.map { Float(1 / (1 + exp(-Double($0)))) }
        case "single_label_classification":
            let largest = Double(logits.max() ?? 0)
            let weights = logits.map { exp(Double($0) - largest) }
            let total = weights.reduce(0, +)
            scores = weights.map { Float($0 / total) }
        default:
            throw ModelError.bundleDamaged("edgepack.json names no problem type that this code knows")
        }
        return zip(names, scores).map { ScoredLabel(name: $0, score: $1) }.sorted { $0.score > $1.score }
    }
}
