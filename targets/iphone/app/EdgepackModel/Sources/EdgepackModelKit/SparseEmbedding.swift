import CoreML
import Foundation

/// The numbers of a vector that are not zero: their indices, ascending, and their values.
public struct SparseVector: Sendable, Equatable {
    public let indices: [Int]
    public let values: [Float]
}

/// @model@: texts as vectors over its vocabulary, most of whose numbers are zero; of a text of more than @max_length@ tokens
/// the end is left out.
public final class SparseEmbedding: Sendable {
    private let output: String
    private let own: Prompts
    private let texts: Texts
    private let model: CoreMLModel

    /// Opens the bundle in this package. Call `prewarm` before the first text that somebody waits for.
    ///
    /// - Parameter units: nil chooses what suits the model.
    public init(bundle: ModelBundle? = nil, units: MLComputeUnits? = nil) async throws {
        let bundle = try bundle ?? ModelBundle.included()
        guard let output = bundle.manifest.processing.answer?.output else {
            throw ModelError.bundleDamaged("edgepack.json does not name the output that is the vector")
        }
        self.output = output
        own = Prompts(bundle: bundle)
        texts = try await Texts(bundle: bundle)
        model = try CoreMLModel(bundle: bundle, units: units)
    }

    /// Compiles (at the first start), loads and runs the model once; `progress` is told 0...1.
    public func prewarm(progress: @Sendable (Double) -> Void = { _ in }) async throws {
        _ = try await model.load(progress: progress)
        _ = try await embed(["a"])
        progress(1)
    }

    /// The texts that the model was trained to find in front of others, by name.
    public var prompts: [String: String] { own.byName }

    /// Returns a vector for each text.
    ///
    /// - Parameters:
    ///   - maxActiveDims: how many numbers of a vector are kept, the largest; nil keeps all.
    ///   - promptName: one of `prompts`, put in front of each text; by default it is the model's own choice.
    ///   - prompt: a text of your own in its place, "" for none.
    public func embed(
        _ texts: [String], maxActiveDims: Int? = nil, promptName: String? = nil, prompt: String? = nil
    ) async throws -> [SparseVector] {
        if let maxActiveDims, maxActiveDims < 1 {
            throw ModelError.input("maxActiveDims is \(maxActiveDims), not 1 or more")
        }
        let start = try own.chosen(promptName, prompt)
        var vectors: [SparseVector] = []
        for text in texts {
            try Task.checkCancellation()
            vectors.append(sparse(try await vector(self.texts.ids(start + text)), maxActiveDims))
        }
        return vectors
    }

    /// Returns the tokens of a vector with their weights, the heaviest first.
    public func weights(_ vector: SparseVector) -> [(token: String, weight: Float)] {
        zip(vector.indices, vector.values).sorted { $0.1 > $1.1 }.map { index, value in
            (texts.tokenizer.convertIdToToken(index) ?? String(index), value)
        }
    }

    /// Returns the dot product of two vectors: larger is more alike.
    public func similarity(_ a: SparseVector, _ b: SparseVector) -> Float {
        let other = Dictionary(uniqueKeysWithValues: zip(b.indices, b.values))
        return zip(a.indices, a.values).reduce(0) { $0 + $1.1 * (other[$1.0] ?? 0) }
    }

    /// Gives the model's memory back; the next call loads it again. Memory warnings do so by themselves.
    public func unload() async { await model.unload() }

    func ids(_ text: String) throws -> [Int] { texts.ids(try own.chosen() + text) }

    func vector(_ ids: [Int]) async throws -> [Float] {
        try await model.predict(texts.inputs(ids)).floats(output)
    }

    private func sparse(_ vector: [Float], _ most: Int?) -> SparseVector {
        var kept = vector.indices.filter { vector[$0] != 0 }
        if let most { kept = kept.sorted { vector[$0] > vector[$1] }.prefix(most).sorted() }
        return SparseVector(indices: kept, values: kept.map { vector[$0] })
    }
}
