package androidx.test.platform.app;

import android.content.Context;
import android.content.res.AssetManager;
import java.io.File;

public final class InstrumentationRegistry {
    public static Instrumentation getInstrumentation() {
        return new Instrumentation();
    }

    /** In Android it is of android.app. */
    public static class Instrumentation {
        public Context getTargetContext() {
            return new Context() {
                @Override
                public AssetManager getAssets() {
                    return new AssetManager();
                }

                @Override
                public File getNoBackupFilesDir() {
                    return new File(System.getProperty("standin.files"));
                }
            };
        }
    }
}
