/// A note, and how alike it is to what was asked.
struct Found: Identifiable, Equatable {
    let note: String
    let score: Float
    var id: String { note }
}

/// Makes vectors of texts and compares them.
protocol Embedder: Sendable {
    func embed(_ texts: [String]) async throws -> [[Float]]
    func similarity(_ a: [Float], _ b: [Float]) throws -> Float
}

/// Notes and their vectors.
struct Index: Sendable {
    private let notes: [String]
    private let vectors: [[Float]]
    private let embedder: any Embedder

    /// Makes the index of `notes`.
    init(_ notes: [String], embedder: any Embedder) async throws {
        self.notes = notes
        self.embedder = embedder
        vectors = try await embedder.embed(notes)
    }

    /// Returns the `count` notes that mean most nearly what `question` asks.
    func search(_ question: String, count: Int = 3) async throws -> [Found] {
        let asked = try await embedder.embed([question])[0]
        let found = try zip(notes, vectors).map { Found(note: $0, score: try embedder.similarity(asked, $1)) }
        return Array(found.sorted { $0.score > $1.score }.prefix(count))
    }
}
