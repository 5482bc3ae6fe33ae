package android.content.res;

import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;

/** Assets that are files below the folder of the system property standin.assets. */
public final class AssetManager {
    public InputStream open(String fileName) throws IOException {
        return new FileInputStream(new File(System.getProperty("standin.assets"), fileName));
    }
}
