import SentenceSearchKit
import SwiftUI

/// The model of the package that edgepack made.
struct Model: Embedder {
    let model: SentenceSearch

    func embed(_ texts: [String]) async throws -> [[Float]] { try await model.embed(texts) }

    func similarity(_ a: [Float], _ b: [Float]) throws -> Float { try model.similarity(a, b) }
}

@main
struct SearchApp: App {
    var body: some Scene {
        WindowGroup { SearchView() }
    }
}

/// A field for the question, and below it the notes that answer it best.
struct SearchView: View {
    @State private var index: Index?
    @State private var question = ""
    @State private var found: [Found] = []
    @State private var told = "Getting ready"

    var body: some View {
        NavigationStack {
            List {
                if index == nil { ProgressView(told) }
                ForEach(found) { Text($0.note) }
            }
            .navigationTitle("Notes")
            .searchable(text: $question, prompt: "How do I fix a flat tyre?")
            .onSubmit(of: .search) { Task { await search() } }
        }
        .task { await open() }
    }

    private func open() async {
        do {
            let model = try await SentenceSearch()
            try await model.prewarm()
            let file = Bundle.main.url(forResource: "notes", withExtension: "txt")
            let text = try file.map { try String(contentsOf: $0, encoding: .utf8) } ?? ""
            let notes = text.split(separator: "\n").map(String.init)
            index = try await Index(notes, embedder: Model(model: model))
        } catch {
            told = error.localizedDescription
        }
    }

    private func search() async {
        do {
            found = try await index?.search(question) ?? []
        } catch {
            found = []
            told = error.localizedDescription
        }
    }
}
